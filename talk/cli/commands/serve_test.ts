import { dial, dialCommand, type Peer, RemoteError } from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { cli, cliCommand, startCli } from "../../../tests/support/cli.ts";
import { within } from "../../../tests/support/within.ts";

const ANYWHERE = ["--address", "tcp://127.0.0.1:0"];
const LISTENING = /^listening on (\S+)$/;

/** Writes a module to a temporary folder. */
async function withModule(
  text: string,
  use: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/service.ts`, text);
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const LIBRARY = new URL("../../../mod.ts", import.meta.url).href;

const SERVICES: Record<string, string> = {
  "an object": `export default { Upper: (s: string) => s.toUpperCase() };`,
  "an instance of a class": `class Shouter {
    Upper(s: string) { return s.toUpperCase(); }
  }
  export default new Shouter();`,
  "a function": `export default (s: string) => s.toUpperCase();`,
  "a router": `import { handlerFrom, Router } from "${LIBRARY}";
  const router = new Router();
  router.handle("Upper", handlerFrom((s: string) => s.toUpperCase()));
  export default router;`,
};

for (const [what, text] of Object.entries(SERVICES)) {
  Deno.test(`qtalk serve: the default export may be ${what}`, () =>
    withModule(text, async (cwd) => {
      const args = ["serve", "service.ts", ...ANYWHERE];
      await using server = startCli(args, { cwd });
      const address = LISTENING.exec(await server.line(LISTENING))![1]!;
      await using peer = await dial(address);
      assertEquals(await peer.call("Upper", ["hello"]), "HELLO");
    }));
}

Deno.test("qtalk serve: qtalk call prints the errors of the service", () =>
  withModule(
    `export default { boom() { throw new Error("boom"); } };`,
    async (folder) => {
      const file = `${folder}/service.ts`;
      await using server = startCli(["serve", file, ...ANYWHERE]);
      const address = LISTENING.exec(await server.line(LISTENING))![1]!;
      assertEquals(await cli(["call", `${address}/boom`]), {
        code: 1,
        stdout: "",
        stderr: "error: remote: boom\n",
      });
    },
  ));

Deno.test("qtalk serve: a generator streams its values up to an error", () =>
  withModule(
    `export default {
      async *count(to: number) {
        for (let n = 1; n <= to; n++) yield n;
        if (to > 2) throw new Error("too far");
      },
    };`,
    async (cwd) => {
      await using server = startCli(["serve", "service.ts", ...ANYWHERE], {
        cwd,
      });
      const address = LISTENING.exec(await server.line(LISTENING))![1]!;
      assertEquals(await cli(["call", `${address}/count`, "2"]), {
        code: 0,
        stdout: "1\n2\n",
        stderr: "",
      });
      assertEquals(await cli(["call", `${address}/count`, "3"]), {
        code: 1,
        stdout: "1\n2\n3\n",
        stderr: "error: remote: too far\n",
      });
    },
  ));

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`qtalk serve: ${signal} closes the connections and exits with 0`, () =>
    withModule(SERVICES["an object"]!, async (cwd) => {
      const args = ["serve", "service.ts", ...ANYWHERE];
      await using server = startCli(args, { cwd });
      const line = await server.line(LISTENING);
      await using peer = await dial(LISTENING.exec(line)![1]!);
      await peer.call("Upper", ["hello"]);
      assertEquals(await server.end(signal), {
        code: 0,
        stdout: `${line}\n`,
        stderr: "",
      });
      await within(peer.closed, "the peer to be closed");
    }));
}

Deno.test("qtalk serve: each call is answered in its codec", () =>
  withModule(`export default { echo: (v: unknown) => v };`, async (cwd) => {
    const args = ["serve", "service.ts", "--codec", "json,cbor", ...ANYWHERE];
    await using server = startCli(args, { cwd });
    const address = LISTENING.exec(await server.line(LISTENING))![1]!;
    await using inJson = await dial(address);
    await using inCbor = await dial(address, { codec: cbor() });
    assertEquals(await inJson.call("echo", [1]), 1);
    const bytes = new Uint8Array([1, 2]);
    assertEquals(await inCbor.call("echo", [bytes]), bytes);
  }));

Deno.test("qtalk serve: over stdio it writes only frames to stdout", () =>
  withModule(SERVICES["an object"]!, async (folder) => {
    const [program, ...args] = cliCommand([
      "serve",
      `${folder}/service.ts`,
      "--address",
      "stdio:",
    ]);
    const peer = dialCommand(
      new Deno.Command(program, { args, stdin: "piped", stdout: "piped" }),
    );
    assertEquals(await peer.call("Upper", ["hello"]), "HELLO");
    await peer.close();
  }));

Deno.test("qtalk serve: a broken session over stdio exits with 3", () =>
  withModule(SERVICES["an object"]!, async (cwd) => {
    const args = ["serve", "service.ts", "--address", "stdio:"];
    const { code, stderr } = await cli(args, { cwd, stdin: "no qmux" });
    assertEquals(code, 3);
    assert(stderr.startsWith("error: Cannot continue session"), stderr);
  }));

Deno.test("qtalk serve: it reports a broken session and goes on", () =>
  withModule(SERVICES["an object"]!, async (cwd) => {
    await using server = startCli(["serve", "service.ts", ...ANYWHERE], {
      cwd,
    });
    const address = LISTENING.exec(await server.line(LISTENING))![1]!;
    const { port } = new URL(address.replace("tcp:", "http:"));
    const conn = await Deno.connect({ port: Number(port) });
    await conn.write(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
    await server.errorLine(/^error: Cannot continue session/);
    conn.close();
    await using peer = await dial(address);
    assertEquals(await peer.call("Upper", ["hello"]), "HELLO");
  }));

Deno.test("qtalk serve: a module without a service exits with 4", async () => {
  const modules = {
    "its default export is missing": "export const service = {};",
    "its default export is not a service: 42": "export default 42;",
    "its default export is not a service: null": "export default null;",
    "a class, not an instance": "export default class Shouter {}",
    "service.ts:1:": "export default {",
    "not today (at file:": `throw new Error("not today");`,
  };
  for (const [text, module] of Object.entries(modules)) {
    await withModule(module, async (cwd) => {
      const args = ["serve", "service.ts", ...ANYWHERE];
      const { code, stdout, stderr } = await cli(args, { cwd });
      assertEquals([code, stdout], [4, ""], stderr);
      assert(stderr.includes(text), stderr);
    });
  }
  const missing = await cli(["serve", "no_such_file.ts"]);
  assertEquals(missing.code, 4);
  assert(missing.stderr.includes("no_such_file.ts"), missing.stderr);
  assert(!missing.stderr.includes("served_module.ts"), missing.stderr);
});

Deno.test("qtalk serve: a syntax error of the module is one line, with its place", () =>
  withModule("export default {\n  a: () => }\n", async (cwd) => {
    const { code, stderr } = await cli(["serve", "service.ts"], { cwd });
    assertEquals(code, 4);
    assertMatch(
      stderr,
      /^error: Cannot load "service.ts": [^\n\\]+ \(at file:[^\n\\]+service\.ts:2:12\)\n$/,
    );
  }));

Deno.test("qtalk serve: it exits with 3 if it cannot listen and 2 for a bad address", () =>
  withModule(SERVICES["an object"]!, async (cwd) => {
    const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const address = `tcp://127.0.0.1:${taken.addr.port}`;
    for (
      const [code, text, ...words] of [
        [3, "Cannot listen on", "service.ts", "-a", address],
        [2, "expected tcp://host:port", "service.ts", "-a", "tcp://:x"],
        [2, "its scheme is not one of", "service.ts", "-a", "127.0.0.1:9999"],
        [2, "expected one file, got 0"],
        [2, "expected one file, got 2", "service.ts", "service.ts"],
      ] as const
    ) {
      const output = await cli(["serve", ...words], { cwd });
      assertEquals([output.code, output.stdout], [code, ""], output.stderr);
      assert(output.stderr.includes(text), output.stderr);
    }
    taken.close();
  }));

Deno.test("qtalk serve: bugs of the service are printed with their stacks, errors for the caller are not", () =>
  withModule(
    `import { CallError } from "${LIBRARY}";
    export default {
      refuse() { throw new CallError("no"); },
      bug() { throw new TypeError("a bug"); },
    };`,
    async (cwd) => {
      await using server = startCli(["serve", "service.ts", ...ANYWHERE], {
        cwd,
      });
      const address = LISTENING.exec(await server.line(LISTENING))![1]!;
      await using peer = await dial(address);
      await peer.call("refuse").catch(() => {});
      await peer.call("bug").catch(() => {});
      const line = await server.errorLine(/./);
      assertEquals(line, 'Error in the handler of "/bug": TypeError: a bug');
      const place = await server.errorLine(/service\.ts/);
      assert(place.includes("Object.bug"), place);
    },
  ));

const SLOW = `
  const { promise, resolve } = Promise.withResolvers();
  export default {
    slow() {
      console.error("slow");
      return promise;
    },
    finish: () => resolve("done"),
  };`;

Deno.test("qtalk serve: at a signal, calls in progress may end and others are refused", () =>
  withModule(SLOW, async (cwd) => {
    const args = ["serve", "service.ts", ...ANYWHERE, "--drain", "60"];
    await using server = startCli(args, { cwd });
    const address = LISTENING.exec(await server.line(LISTENING))![1]!;
    await using peer = await dial(address);
    const slow = peer.call("slow");
    await server.errorLine(/^slow$/);
    server.child.kill("SIGTERM");
    await server.errorLine(
      /^SIGTERM: what is in progress has 60 s to end; another signal ends it at once$/,
    );
    const error = await assertRejects(() => peer.call("finish"), RemoteError);
    assertEquals(error.code, "unavailable");
    // A second signal ends the wait.
    const lost = assertRejects(() => within(slow, "the slow call"));
    const { code } = await server.end("SIGTERM");
    assert(code === 0 || code === 143, `${code}`);
    await lost;
  }));

Deno.test("qtalk serve: --drain bounds what calls in progress have", () =>
  withModule(SLOW, async (cwd) => {
    const args = ["serve", "service.ts", ...ANYWHERE, "--drain", "0.1"];
    await using server = startCli(args, { cwd });
    const address = LISTENING.exec(await server.line(LISTENING))![1]!;
    await using peer = await dial(address);
    const slow = assertRejects(() => peer.call("slow"));
    await server.errorLine(/^slow$/);
    assertEquals((await server.end("SIGINT")).code, 0);
    await slow;
  }));

Deno.test("qtalk serve: --verbose prints connections and their ends to stderr", () =>
  withModule(SERVICES["an object"]!, async (cwd) => {
    const args = ["serve", "service.ts", ...ANYWHERE, "-v"];
    await using server = startCli(args, { cwd });
    const address = LISTENING.exec(await server.line(LISTENING))![1]!;
    const peer = await dial(address);
    assertEquals(await peer.call("Upper", ["x"]), "X");
    await server.errorLine(/^connected: tcp:\/\/127\.0\.0\.1:\d+$/);
    await peer.close();
    await server.errorLine(/^disconnected: tcp:\/\/127\.0\.0\.1:\d+$/);
  }));

Deno.test("qtalk serve: peers can ask what it offers, whether it works and how it is used", () =>
  withModule(
    `export const name = "shouter", version = "2.0", doc = "Shouts.";
    let works = true;
    export function health() {
      if (!works) throw new Error("hoarse");
      return { voice: "loud" };
    }
    export default {
      Upper: (s: string) => s.toUpperCase(),
      lose() { works = false; },
    };`,
    async (cwd) => {
      const args = ["serve", "service.ts", ...ANYWHERE];
      await using server = startCli(args, { cwd });
      const address = LISTENING.exec(await server.line(LISTENING))![1]!;
      await using peer = await dial(address);
      assertEquals(await peer.call("/_qtalk/describe"), {
        name: "shouter",
        version: "2.0",
        doc: "Shouts.",
        methods: [
          { selector: "Upper", params: 1 },
          { selector: "lose", params: 0 },
        ],
      });
      const health = () => peer.call("/_qtalk/health");
      assertEquals(await health(), {
        status: "serving",
        details: { voice: "loud" },
      });
      await peer.call("lose");
      assertEquals(await health(), {
        status: "not-serving",
        reason: "hoarse",
      });
      const { calls } = await peer.call("/_qtalk/stats") as {
        calls: { outcomes: unknown };
      };
      assertEquals(calls.outcomes, { ok: 1 });
    },
  ));

Deno.test("qtalk serve --no-reflection: the service is not described", () =>
  withModule("export default { a() {} };", async (cwd) => {
    const args = ["serve", "service.ts", "--no-reflection", ...ANYWHERE];
    await using server = startCli(args, { cwd });
    const address = LISTENING.exec(await server.line(LISTENING))![1]!;
    await using peer = await dial(address);
    for (const what of ["describe", "health", "stats"]) {
      await assertRejects(
        () => peer.call(`/_qtalk/${what}`),
        RemoteError,
        "not found",
      );
    }
  }));

Deno.test("qtalk serve: exports of another kind are not taken for what describes the service", () =>
  withModule(
    `export const name = 7, version = {}, health = "good";
    export default { a() {} };`,
    async (cwd) => {
      const args = ["serve", "service.ts", ...ANYWHERE];
      await using server = startCli(args, { cwd });
      const address = LISTENING.exec(await server.line(LISTENING))![1]!;
      await using peer = await dial(address);
      assertEquals(await peer.call("/_qtalk/describe"), {
        methods: [{ selector: "a", params: 0 }],
      });
      assertEquals(await peer.call("/_qtalk/health"), { status: "serving" });
    },
  ));

// --- --parallel --------------------------------------------------------------

const PARALLEL = ["-A", "--unstable-net"];
/** Says which worker answers, waits for the end of a stream, or is ill. */
const THREADS = `
  const id = crypto.randomUUID();
  let sick = false;
  export default {
    id: () => id,
    sicken: () => { sick = true; },
    wait: async (input: AsyncIterable<unknown>) => {
      for await (const _ of input) console.error("waiting");
      return id;
    },
  };
  export const health = () => { if (sick) throw new Error("ill: " + id); };
`;

/** Its method that waits. */
interface Waiting {
  wait(input: ReadableStream<number>): Promise<string>;
}

/** Dials until every one of `count` workers has a connection; by their IDs. */
async function dialEach(
  address: string,
  count: number,
): Promise<Map<string, Peer>> {
  const peers = new Map<string, Peer>();
  while (peers.size < count) {
    const peer = await dial(address);
    const id = await peer.call("id") as string;
    if (peers.has(id)) await peer.close();
    else peers.set(id, peer);
  }
  return peers;
}

Deno.test("qtalk serve: --parallel serves with several workers at one address, and their health is one", () =>
  withModule(THREADS, async (cwd) => {
    const args = ["serve", "service.ts", ...ANYWHERE, "--parallel", "3"];
    await using server = startCli(args, { cwd, permissions: PARALLEL });
    const address = LISTENING.exec(await server.line(LISTENING))![1]!;
    const peers = await dialEach(address, 3);
    for (const peer of peers.values()) {
      assertEquals(await peer.call("/_qtalk/health"), { status: "serving" });
    }
    const [id, first] = peers.entries().next().value!;
    await first.call("sicken");
    for (const peer of peers.values()) {
      assertEquals(await peer.call("/_qtalk/health"), {
        status: "not-serving",
        reason: `ill: ${id}`,
      });
    }
    for (const peer of peers.values()) await peer.close();
  }));

Deno.test("qtalk serve: a signal drains all workers of --parallel", () =>
  withModule(THREADS, async (cwd) => {
    const args = ["serve", "service.ts", ...ANYWHERE, "--parallel", "2"];
    await using server = startCli([...args, "--drain", "60"], {
      cwd,
      permissions: PARALLEL,
    });
    const address = LISTENING.exec(await server.line(LISTENING))![1]!;
    const peers = await dialEach(address, 2);
    const calls = [];
    for (const [id, peer] of peers) {
      const input = new TransformStream<number, number>();
      const writer = input.writable.getWriter();
      const answer = peer.remote<Waiting>().wait(input.readable);
      await writer.write(1);
      await server.errorLine(/^waiting$/);
      calls.push({ id, peer, answer, writer });
    }
    server.child.kill("SIGTERM");
    await server.errorLine(/^SIGTERM: what is in progress has 60 s to end/);
    for (const { id, peer, answer, writer } of calls) {
      const error = await assertRejects(() => peer.call("id"), RemoteError);
      assertEquals(error.code, "unavailable");
      await writer.close();
      assertEquals(await answer, id);
    }
    assertEquals((await server.end()).code, 0);
    for (const { peer } of calls) await peer.close();
  }));

Deno.test("qtalk serve: --parallel needs a flag of Deno, a port and a number", () =>
  withModule(THREADS, async (cwd) => {
    const cases = [
      // The configuration of this repository has the flag.
      [["-A", "--no-config"], ["--parallel", "2"], "--unstable-net"],
      [PARALLEL, ["--parallel", "2", "--address", "unix:x"], "TCP port"],
      [PARALLEL, ["--parallel", "two"], "not a whole number above 0"],
      // Looked at before the port, so that a failure starts no workers.
      [
        PARALLEL,
        ["--parallel", "1025", "--address", "unix:x"],
        "1025 is more than 1024",
      ],
    ] as const;
    for (const [permissions, options, text] of cases) {
      const { code, stdout, stderr } = await cli(
        ["serve", "service.ts", ...options],
        { cwd, permissions },
      );
      assertEquals([code, stdout], [2, ""]);
      assert(stderr.includes(text), stderr);
    }
  }));

Deno.test("qtalk serve: a module that --parallel cannot load is one error", () =>
  withModule("export default 1;", async (cwd) => {
    const args = ["serve", "service.ts", ...ANYWHERE, "--parallel", "2"];
    const { code, stderr } = await cli(args, { cwd, permissions: PARALLEL });
    assertEquals(code, 4);
    assertEquals(
      stderr,
      'error: Cannot serve "service.ts": its default export is not a service: 1\n',
    );
  }));

/** Ends its process, or computes for ever. */
const LOST = `
  export default {
    exit: (code: number) => Deno.exit(code),
    compute: () => {
      console.error("computing");
      for (;;);
    },
  };
`;

Deno.test("qtalk serve: Deno.exit() in a worker of --parallel ends the process", () =>
  withModule(LOST, async (cwd) => {
    const args = ["serve", "service.ts", ...ANYWHERE, "--parallel", "2"];
    await using server = startCli(args, { cwd, permissions: PARALLEL });
    const address = LISTENING.exec(await server.line(LISTENING))![1]!;
    await using peer = await dial(address);
    await assertRejects(() => peer.call("exit", [7]));
    assertEquals((await server.end()).code, 7);
  }));

Deno.test("qtalk serve: a worker of --parallel that computes for ever does not keep the process", () =>
  withModule(LOST, async (cwd) => {
    const args = ["serve", "service.ts", ...ANYWHERE, "--parallel", "2"];
    await using server = startCli([...args, "--drain", "0"], {
      cwd,
      permissions: PARALLEL,
    });
    const address = LISTENING.exec(await server.line(LISTENING))![1]!;
    await using peer = await dial(address);
    const lost = assertRejects(() => peer.call("compute"));
    await server.errorLine(/^computing$/);
    server.child.kill("SIGTERM");
    assertEquals((await server.end()).code, 0);
    await lost;
  }));
