import { type Handler, listen, Router } from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { assert, assertEquals } from "@std/assert";
import { cli, cliCommand, startCli } from "../../../tests/support/cli.ts";
import { interopService } from "../peers/interop_service.ts";

const ALL_PASS = `ok     Error "test"
ok     an unknown selector: not found: /BadSelector
ok     Unary 100
ok     Unary true
ok     Unary "hello"
ok     Unary {"foo":"bar"}
ok     Unary [1,2,3]
ok     Stream of 5 values
ok     Bytes, 1 B
ok     Bytes, 1 KiB
ok     Bytes, 1 MiB
11 passed, 0 failed
`;

const passes = { code: 0, stdout: ALL_PASS, stderr: "" };

/** Checks a service of this process. */
async function checked(handler: Handler, ...args: string[]) {
  await using listener = await listen("tcp://127.0.0.1:0", {
    handler,
    codec: cbor(),
  });
  return await cli(["check", listener.addr, ...args]);
}

/** The interop service with a different handler for one name. */
function spoilt(name: string, handler: Handler): Router {
  const router = new Router();
  router.handle(name, handler);
  router.handle("/", interopService());
  return router;
}

Deno.test("qtalk check: its own interop passes in every codec", async () => {
  assertEquals(await cli(["check"]), passes);
  assertEquals(await cli(["check", "--codec", "json"]), passes);
  assertEquals(await cli(["check", "--codec", "msgpack"]), passes);
  const env = { QTALK_CODEC: "json" };
  assertEquals(await cli(["check"], { env }), passes);
});

Deno.test("qtalk check: it takes a shell command or a program with arguments", async () => {
  const command = cliCommand(["interop"]);
  const quoted = command.map((word) => `'${word}'`).join(" ");
  const env = { QTALK_CODEC: "json" };
  assertEquals(await cli(["check", `exec ${quoted}`], { env }), passes);
  assertEquals(await cli(["check", quoted]), passes);
  assertEquals(await cli(["check", "--", ...command]), passes);
});

Deno.test("qtalk check: it takes an address that interop serves", async () => {
  await using service = startCli(["interop", "tcp://127.0.0.1:0"]);
  const listening = /^listening on (\S+)$/;
  const address = listening.exec(await service.line(listening))![1]!;
  assertEquals(await cli(["check", address]), passes);
  assertEquals((await service.end("SIGTERM")).code, 0);
});

const SPOILT: [what: string, name: string, handler: Handler, line: RegExp][] = [
  [
    "another error",
    "Error",
    (_call, respond) => respond.return(new Error("tset")),
    /^FAILED Error "test": Expected "test", got "tset"$/m,
  ],
  [
    "no error",
    "Error",
    (_call, respond) => respond.return("test"),
    /^FAILED Error "test": Expected an error, got "test"$/m,
  ],
  [
    "an answer to an unknown selector",
    "BadSelector",
    () => {},
    /^FAILED an unknown selector: Expected an error, got null$/m,
  ],
  [
    "values that are printed alike",
    "Unary",
    async (call, respond) => {
      const value = await call.receive();
      await respond.return(value === 100 ? "100" : value);
    },
    /^FAILED Unary 100: Expected 100, got "100"$/m,
  ],
  [
    "a stream that lacks a value",
    "Stream",
    async (call, respond) => {
      await call.receive();
      const channel = await respond.continue();
      let skip = true;
      for await (const value of call) {
        if (!skip) await respond.send(value);
        skip = false;
      }
      await channel.close();
    },
    /^FAILED Stream of 5 values: Expected \[ 100, true, .*, got \[ true, /m,
  ],
  [
    "a stream that does not continue",
    "Stream",
    () => {},
    /^FAILED Stream of 5 values: Expected a response that continues/m,
  ],
  [
    "as many other bytes",
    "Bytes",
    async (call, respond) => {
      await call.receive();
      const { readable, writable } = await respond.continue();
      const inverted = new TransformStream<Uint8Array, Uint8Array>({
        transform: (chunk, out) => out.enqueue(chunk.map((byte) => ~byte)),
      });
      await readable.pipeThrough(inverted).pipeTo(writable);
    },
    /^FAILED Bytes, 1 KiB: Expected \d+ for byte 0 of 1024, got \d+$/m,
  ],
  [
    "too few bytes",
    "Bytes",
    async (call, respond) => {
      await call.receive();
      const channel = await respond.continue();
      await channel.readable.cancel();
      await channel.writable.close();
    },
    /^FAILED Bytes, 1 B: Expected 1, got 0$/m,
  ],
];

for (const [what, name, handler, line] of SPOILT) {
  Deno.test(`qtalk check: it finds ${what} and exits with 1`, async () => {
    const { code, stdout, stderr } = await checked(spoilt(name, handler));
    assertEquals([code, stderr], [1, ""]);
    assert(line.test(stdout), stdout);
    const failed = stdout.match(/^FAILED/gm)!.length;
    assert(stdout.endsWith(`${11 - failed} passed, ${failed} failed\n`));
  });
}

Deno.test("qtalk check: a check that does not end exits with 3", async () => {
  for (const name of ["Unary", "Stream"]) {
    const silent: Handler = async (call, respond) => {
      await call.receive();
      if (name === "Stream") await respond.continue();
      await new Promise((gone) => call.signal.addEventListener("abort", gone));
    };
    const { code, stdout } = await checked(
      spoilt(name, silent),
      "--timeout",
      "2",
    );
    assertEquals(code, 3);
    const failed = new RegExp(
      `^FAILED ${name} .*: Check did not end within 2 s$`,
      "m",
    );
    assert(failed.test(stdout), stdout);
    assert(/ passed, 1 failed, \d not run\n$/.test(stdout), stdout);
  }
});

Deno.test("qtalk check: a lost or failed connection exits with 3", async () => {
  const lost = await cli(["check", "exit 1"]);
  assertEquals(lost.code, 3);
  assert(lost.stdout.endsWith("0 passed, 1 failed, 10 not run\n"));
  const refused = await cli(["check", "tcp://127.0.0.1:1"]);
  assertEquals([refused.code, refused.stdout], [3, ""]);
  const missing = await cli(["check", "--", "no-such-program", "interop"]);
  assertEquals([missing.code, missing.stdout], [3, ""]);
  assert(missing.stderr.startsWith("error: Cannot start command"));
});

Deno.test("qtalk check: an empty service fails nearly every check", async () => {
  const { code, stdout } = await checked(new Router());
  assertEquals(code, 1);
  assert(stdout.endsWith("1 passed, 10 failed\n"), stdout);
});

Deno.test("qtalk interop: a call fails if its callback fails", async () => {
  await using listener = await listen("tcp://127.0.0.1:0", {
    handler: interopService(),
  });
  const { code, stderr } = await cli(["call", `${listener.addr}/Unary`, "1"]);
  assertEquals(code, 1);
  // The command `call` does not answer callbacks.
  assertEquals(stderr, "error: remote: not found: /Unary\n");
});

Deno.test("qtalk check: a usage error exits with 2, also of interop", async () => {
  for (
    const args of [
      ["interop", "tcp://127.0.0.1:0", "tcp://127.0.0.1:0"],
      ["interop", "--codec", "xml"],
      ["interop", "127.0.0.1:0"],
      ["check", "--codec", "json,cbor"],
      ["check", "--timeout", "soon"],
      ["check", "deno", "-A"],
    ]
  ) {
    const { code, stdout, stderr } = await cli(args);
    assertEquals([code, stdout], [2, ""], stderr);
  }
});
