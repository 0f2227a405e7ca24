/**
 * The core at work, for trying it on an older Deno:
 *
 *     npx --yes deno@2.0.0 run -A tests/oldest_deno/smoke.ts
 *
 * The transports that it has, with a plain call, a failing one, a byte stream whose
 * ends are closed one after the other, a streamed reply, a call back and big
 * integers. Prints a line for each transport, or throws.
 *
 * It asserts for itself: whether the library of assertions runs on an older Deno
 * is not the question.
 *
 * @module
 */
import {
  CallError,
  dial,
  dialCommand,
  type Handler,
  handlerFrom,
  listen,
  memoryPair,
  Peer,
  qmux,
  Router,
  withCall,
} from "../../mod.ts";
import { messagePortTransport } from "../../mux/mod.ts";

function expect(what: string, actual: unknown, expected: unknown): void {
  const [a, b] = [Deno.inspect(actual), Deno.inspect(expected)];
  if (a !== b) throw new Error(`${what}: got ${a}, expected ${b}`);
}

const BULK = 1024 * 1024;

function service(): Handler {
  const router = new Router();
  router.handle(
    "",
    handlerFrom({
      upper: (s: string) => s.toUpperCase(),
      echo: (value: unknown) => value,
      fail: (why: string) => {
        throw new CallError(why);
      },
      ask: withCall((call, name: string) => call.caller.call("answer", [name])),
    }),
  );
  router.handle("bytes", async (call, respond) => {
    // The argument lies in front of the bytes.
    await call.receive();
    const channel = await respond.continue();
    await channel.readable.pipeTo(channel.writable);
  });
  router.handle("count", async (call, respond) => {
    const n = await call.receive() as number;
    const channel = await respond.continue(n);
    for (let i = 0; i < n; i++) await respond.send(i);
    await channel.close();
  });
  return router;
}

async function length(stream: ReadableStream<Uint8Array>): Promise<number> {
  let total = 0;
  for await (const chunk of stream) total += chunk.length;
  return total;
}

async function exercise(name: string, peer: Peer): Promise<void> {
  using _ = peer.handle(
    "answer",
    handlerFrom((who: string) => `hello ${who}`),
  );
  expect("a call", await peer.call("upper", ["hello"]), "HELLO");
  expect(
    "an error",
    await peer.call("fail", ["no"]).catch((e) => `${e.name} ${e.message}`),
    "RemoteError remote: no",
  );
  expect("a call back", await peer.call("ask", ["Ann"]), "hello Ann");
  expect("an integer", await peer.call("echo", [2 ** 60]), 2 ** 60);
  expect(
    "bytes",
    await peer.call("echo", [new Uint8Array([1, 2, 3])]),
    "AQID",
  );

  const { channel } = await peer.request("bytes");
  const writer = channel!.writable.getWriter();
  const received = length(channel!.readable);
  await writer.write(new Uint8Array(BULK));
  await writer.close();
  expect("a byte stream", await received, BULK);
  await channel!.close();

  const counted: unknown[] = [];
  for await (const n of await peer.request("count", 3)) counted.push(n);
  expect("a streamed reply", counted, [0, 1, 2]);

  const calls = Array.from({ length: 100 }, (_, i) => peer.call("echo", [i]));
  expect("many calls", (await Promise.all(calls)).at(-1), 99);
  await peer.close();
  await peer.closed;
  console.log(`${name}: ok`);
}

async function overSocket(name: string, address: string): Promise<void> {
  await using listener = await listen(address, { handler: service() });
  await exercise(name, await dial(listener.addr));
}

if (Deno.args[0] === "child") {
  const peer = await dial("stdio:", { handler: service() });
  await peer.closed;
} else {
  console.log(`Deno ${Deno.version.deno}`);
  const [near] = memoryPair({}, { handler: service() });
  await exercise("memory", near);
  await overSocket("tcp", "tcp://127.0.0.1:0");
  await overSocket("ws", "ws://127.0.0.1:0");
  const { port1, port2 } = new MessageChannel();
  new Peer(qmux(messagePortTransport(port1)), {
    handler: service(),
  });
  await exercise(
    "port",
    new Peer(qmux(messagePortTransport(port2))),
  );
  // An open port keeps this process running.
  port1.close();
  port2.close();
  if (Deno.build.os !== "windows") {
    const folder = await Deno.makeTempDir();
    await overSocket("unix", `unix:${folder}/socket`);
    await Deno.remove(folder, { recursive: true });
  }
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", import.meta.url, "child"],
    stdin: "piped",
    stdout: "piped",
  });
  await exercise("stdio", dialCommand(child));
}
