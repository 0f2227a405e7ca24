/**
 * Serves one module in several workers, which listen at the same port.
 *
 * @module
 */
import { moduleUrl } from "../../../module_url.ts";
import { qmux } from "../../../mux/internal.ts";
import {
  canReusePort,
  messagePortTransport,
} from "../../../mux/internal_deno.ts";
import { handlerFrom, type Remote } from "../../../rpc/internal.ts";
import type { ServiceHealth } from "../../../rpc/internal_cli.ts";
import { redactedAddress } from "../../../printable_text.ts";
import { EXIT, UsageError } from "../exit_code.ts";
import { hasEffect } from "../../scheme_options.ts";
import { Peer } from "../../peer.ts";
import type { Closable } from "../../listener/types.ts";
import { announceAddress, runUntilStopped } from "../serve_until_stopped.ts";
import type { Terminal } from "../terminal.ts";
import {
  type CoordinatorService,
  isExitMessage,
  type ServePlan,
  type StartFailure,
  type WorkerService,
} from "./plan.ts";

/**
 * Serves with a number of workers until a signal; resolves to the exit code.
 *
 * @throws {UsageError} if the address has no port, or Deno lacks a flag
 */
export async function serveInParallel(
  count: number,
  plan: ServePlan,
  { terminal, drainTimeout }: { terminal: Terminal; drainTimeout: number },
): Promise<number> {
  if (!hasEffect("listen", "reusePort", plan.address)) {
    throw new UsageError(
      `Cannot use --parallel with "${
        redactedAddress(plan.address)
      }": several workers can listen at a TCP port only`,
    );
  }
  if (!canReusePort()) {
    throw new UsageError(
      "Cannot use --parallel without the flag --unstable-net of Deno",
    );
  }
  const workers: ServeWorker[] = [];
  const health = () => healthOf(workers);
  const failed = ({ error, exitCode }: StartFailure) => {
    terminal.error(error);
    return exitCode;
  };
  try {
    for (let n = 1; n <= count; n++) {
      workers.push(new ServeWorker(n, { health }));
    }
    // The first one chooses the port, if it is 0.
    const first = await workers[0]!.service.start(plan);
    if ("error" in first) return failed(first);
    const { address } = first;
    const others = await Promise.all(
      workers.slice(1).map(({ service }) =>
        service.start({ ...plan, address })
      ),
    );
    const failure = others.find((result) => "error" in result);
    if (failure !== undefined) return failed(failure);
    const running: Closable = {
      closed: Promise.all(workers.map((worker) => worker.closed()))
        .then(() => {}),
      async close({ drainTimeout = 0 } = {}) {
        await Promise.all(workers.map((worker) => worker.close(drainTimeout)));
      },
    };
    await runUntilStopped(
      running,
      terminal,
      drainTimeout,
      () => announceAddress(terminal, address),
    );
    return EXIT.ok;
  } finally {
    await Promise.all(workers.map((worker) => worker.end()));
  }
}

/** Healthy if all workers are; otherwise the health of one that is not. */
async function healthOf(
  workers: readonly ServeWorker[],
): Promise<ServiceHealth> {
  const all = await Promise.all(workers.map(({ service }) => service.health()));
  return all.find(({ status }) => status !== "serving") ?? all[0]!;
}

/** Milliseconds that a worker has for closing, besides the time for its calls. */
const CLOSE_TIMEOUT = 1_000;

/**
 * A worker that serves. An error in it that nothing catches ends the process, and
 * so does `Deno.exit()`.
 */
class ServeWorker {
  readonly #worker: Worker;
  readonly #peer: Peer;
  /** Resolves when it did not close in time. */
  readonly #givenUp = Promise.withResolvers<void>();
  /** What it can be asked for. */
  readonly service: Remote<WorkerService>;

  constructor(n: number, service: CoordinatorService) {
    this.#worker = new Worker(moduleUrl("talk/cli/serve/worker"), {
      type: "module",
      name: `qtalk serve, worker ${n}`,
    });
    this.#worker.addEventListener("message", ({ data }) => {
      if (isExitMessage(data)) Deno.exit(data.exit);
    });
    this.#peer = new Peer(qmux(messagePortTransport(this.#worker)), {
      handler: handlerFrom(service),
    });
    this.service = this.#peer.remote<WorkerService>();
  }

  /** Resolves when it serves no more. */
  async closed(): Promise<void> {
    await Promise.race([this.service.closed(), this.#givenUp.promise]);
  }

  /** Closes its listener. A worker that computes does not answer in time. */
  async close(drainTimeout: number): Promise<void> {
    const timeout = drainTimeout + CLOSE_TIMEOUT;
    try {
      await this.#peer.remote<WorkerService>({ timeout }).close(drainTimeout);
    } catch {
      this.#givenUp.resolve();
    }
  }

  /** Ends it. */
  async end(): Promise<void> {
    await this.#peer.close();
    this.#worker.terminate();
  }
}
