/**
 * A worker of `qtalk serve --parallel`: it loads the module, listens, and answers the
 * program that has started it.
 *
 * @module
 */
import { qmux } from "../../../mux/internal.ts";
import { messagePortTransport } from "../../../mux/internal_deno.ts";
import { handlerFrom } from "../../../rpc/internal.ts";
import { errorText } from "../../../rpc/internal_server.ts";
import {
  type ServiceHealth,
  withReflection,
} from "../../../rpc/internal_cli.ts";
import type { Closable } from "../../listener/types.ts";
import { Peer } from "../../peer.ts";
import { loadCodec } from "../options/codec_option.ts";
import { exitCodeOf } from "../exit_code.ts";
import { startServing } from "../serve_until_stopped.ts";
import { Terminal } from "../terminal.ts";
import type {
  CoordinatorService,
  ExitMessage,
  ServePlan,
  WorkerService,
} from "./plan.ts";
import { type LoadedService, loadService } from "./served_module.ts";

const own = Promise.withResolvers<() => Promise<ServiceHealth>>();
const listening = Promise.withResolvers<Closable>();

const service: WorkerService = {
  async start(plan) {
    try {
      return { address: await start(plan) };
    } catch (error) {
      return { error: errorText(error), exitCode: exitCodeOf(error) };
    }
  },
  health: async () => await (await own.promise)(),
  async close(drainTimeout) {
    await (await listening.promise).close({ drainTimeout });
  },
  async closed() {
    await (await listening.promise).closed;
  },
};

const port = self as unknown as MessagePort;
const coordinator = new Peer(qmux(messagePortTransport(port)), {
  handler: handlerFrom(service),
}).remote<CoordinatorService>();

// In a worker, these end only the worker, and the program that has started it
// does not learn of it.
const exitWorker = Deno.exit;
Deno.exit = exitProcess;
self.close = () => exitProcess();

/** Ends the process, as `Deno.exit()` does without workers. */
function exitProcess(code?: number): never {
  const message: ExitMessage = { exit: code ?? Deno.exitCode };
  port.postMessage(message);
  return exitWorker(code);
}

/** Loads the service and listens; resolves to the address. */
async function start(
  { file, address, codecs, reflection, verbose, security, flags }: ServePlan,
): Promise<string> {
  const { service, about } = await loadService(file);
  own.resolve(ownHealth({ service, about }));
  const terminal = new Terminal();
  terminal.flags = flags;
  const { listener } = await startServing(address, {
    handler: reflection
      ? withReflection(service, { ...about, health: healthOfAll })
      : service,
    codecs: await Promise.all(codecs.map(loadCodec)),
    terminal,
    verbose,
    reusePort: true,
    ...security,
  });
  listening.resolve(listener);
  return listener.addr;
}

/** The health of the service in this worker, which its peers do not see. */
function ownHealth(
  { service, about }: LoadedService,
): () => Promise<ServiceHealth> {
  const reflected = withReflection(service, {
    health: about.health,
    stats: false,
  });
  return () => reflected.health();
}

/** The check of the service, for peers: that of all workers. */
async function healthOfAll(): Promise<unknown> {
  const { status, details, reason } = await coordinator.health();
  if (status === "serving") return details;
  throw new Error(reason);
}
