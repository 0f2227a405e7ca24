import { CallError, dial, handlerFrom, listen, Peer, qmux } from "@qtalk/qtalk";
import { json } from "@qtalk/qtalk/codec";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { cli, cliCommand, startCli } from "../../../tests/support/cli.ts";
import { within } from "../../../tests/support/within.ts";

const LISTENING = /^listening on (\S+)$/;

const service = {
  math: { add: (a: number, b: number) => a + b },
  echo: (value: unknown) => value,
  async *count(n: number) {
    for (let i = 1; i <= n; i++) yield i;
  },
  each: async (list: number[], f: (n: number) => Promise<number>) =>
    await Promise.all(list.map((n) => f(n))),
  boom() {
    throw new CallError("no such user", { code: "not-found" });
  },
  blob: () => new Uint8Array([0, 1, 255]),
};

/** The server that the tap connects to. */
function server() {
  return listen("tcp://127.0.0.1:0", {
    handler: handlerFrom(service),
    codecs: [json(), cbor()],
  });
}

/** Lines without times and durations, which are spaces at their ends. */
function plain(output: string): string[] {
  return output.trimEnd().split("\n")
    .map((line) => line.slice(9).replace(/ +[\d.]+ (ms|s)$/, ""));
}

/** A command line that inspects connections to a server. */
async function inspecting(
  address: string,
  options: readonly string[],
  use: (address: string) => Promise<void>,
): Promise<string[]> {
  const words = ["inspect", "tcp://127.0.0.1:0", address, ...options];
  await using tap = startCli(words);
  const tapped = LISTENING.exec(await tap.line(LISTENING))![1]!;
  await use(tapped);
  await tap.line(/session 1 closed$/);
  const { code, stdout, stderr } = await tap.end("SIGTERM");
  assertEquals([code, stderr], [0, ""]);
  return plain(stdout).slice(1);
}

Deno.test("qtalk inspect: calls, values, callbacks, streams and errors are printed", async () => {
  await using target = await server();
  const lines = await inspecting(target.addr, ["--calls"], async (address) => {
    await using peer = await dial(address);
    const api = peer.remote<typeof service>();
    assertEquals(await api.math.add(1, 2), 3);
    assertEquals(await api.echo({ name: "A\u001b[31m", list: [true, null] }), {
      name: "A\u001b[31m",
      list: [true, null],
    });
    assertEquals(await api.each([5], (n) => Promise.resolve(n + 1)), [6]);
    assertEquals(await Array.fromAsync(await api.count(2)), [1, 2]);
    await assertRejects(() => api.boom());
  });
  const said = lines.map((line) => line.replaceAll(/#\d+ +/g, ""));
  assert(/^┌ session 1 tcp:\/\/127\.0\.0\.1:\d+ ⇄ tcp:/.test(said.shift()!));
  assertEquals(said, [
    "1 → math.add(1, 2)",
    "1 ← 3",
    '1 → echo({name: "A\\u001b[31m", list: [true, null]})',
    '1 ← {name: "A\\u001b[31m", list: [true, null]}',
    "1 → each([5], ƒ1)",
    "1 ← ƒ1(5)  sent with nested true",
    "1 → 6",
    "1 ← [6]",
    "1 → count(2)",
    "1 ← continues as a stream",
    "1 ← · 1",
    "1 ← · 2",
    "1 ← end  2 values received",
    "1 → boom()",
    "1 ← error not-found: no such user",
    "└ session 1 closed",
  ]);
});

Deno.test("qtalk inspect: values in CBOR are recognized, bytes and dates included", async () => {
  await using target = await server();
  const lines = await inspecting(target.addr, ["--calls"], async (address) => {
    await using peer = await dial(address, { codec: cbor() });
    const api = peer.remote<typeof service>();
    await api.echo(new Date(0));
    await api.blob();
  });
  const said = lines.map((line) => line.replaceAll(/#\d+ +/g, ""));
  assertEquals(said.slice(1, -1), [
    "1 → echo(1970-01-01T00:00:00.000Z)  CBOR",
    "1 ← 1970-01-01T00:00:00.000Z",
    "1 → blob()  CBOR",
    "1 ← 3 B <00 01 ff>",
  ]);
});

Deno.test("qtalk inspect: frames are printed, with windows", async () => {
  await using target = await server();
  const lines = await inspecting(target.addr, ["--frames"], async (address) => {
    await using peer = await dial(address);
    // An error ends its channel.
    await assertRejects(() => peer.call("math.none", [1, 2]));
  });
  const first = lines.filter((line) => /#1 |byte stream/.test(line))
    .map((line) => line.replace(/#1 +/, "#1 "));
  assertEquals(first.map((line) => line.replace(/ {2}<.*/, "")), [
    "1 → #1 OPEN          id 0  window 65.0 KiB  packet 16.0 MiB",
    "1 ← #1 OPEN_CONFIRM  id 0  window 65.0 KiB  packet 16.0 MiB",
    "1 → #1 DATA          95 B  window left 64.9 KiB",
    "1 ← #1 DATA          150 B  window left 64.9 KiB",
    "1 ← #1 EOF",
    "1 ← #1 CLOSE",
    "1 → #1 CLOSE",
    "1 →       end of the byte stream",
    "1 ←       end of the byte stream",
  ]);
});

Deno.test("qtalk inspect: a recording is opened again, with filters", async () => {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/session.qtalk`;
  await using target = await server();
  const save = ["--save", file];
  const live = await inspecting(target.addr, save, async (address) => {
    await using peer = await dial(address);
    const api = peer.remote<typeof service>();
    await api.math.add(1, 2);
    await Array.fromAsync(await api.count(2));
  });
  if (Deno.build.os !== "windows") {
    assertEquals((await Deno.stat(file)).mode! & 0o777, 0o600);
  }
  const again = await cli(["inspect", file]);
  assertEquals([again.code, again.stderr], [0, ""]);
  assertEquals(plain(again.stdout), live);

  const calls = await cli(["inspect", file, "--calls", "--selector=math.*"]);
  assertEquals(
    plain(calls.stdout).slice(1, -1).map((line) => line.slice(9).trim()),
    ["math.add(1, 2)", "3"],
  );
  const number = /#(\d+) +count/.exec(again.stdout)![1]!;
  const channel = await cli(["inspect", file, "--channel", number]);
  const numbers = [...channel.stdout.matchAll(/#(\d+)/g)].map(([, n]) => n);
  assert(numbers.length > 5);
  assertEquals(new Set(numbers), new Set([number]));

  // A recording of a program that was killed ends somewhere.
  const bytes = await Deno.readFile(file);
  await Deno.writeFile(file, bytes.subarray(0, bytes.length - 100));
  const cut = await cli(["inspect", file]);
  assertEquals([cut.code, cut.stderr], [0, ""]);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("qtalk inspect: of a channel with several calls, --selector shows those that are wanted", async () => {
  const file = await Deno.makeTempFile();
  await using target = await server();
  const live = await inspecting(
    target.addr,
    ["--calls", "--save", file],
    async (address) => {
      await using peer = await dial(address);
      for (let n = 0; n < 4; n++) {
        assertEquals(await peer.call("echo", [n]), n);
        assertEquals(await peer.call("math.add", [n, 1]), n + 1);
      }
    },
  );
  const calls = live.slice(1, -1).map((line) => line.replace(/#\d+ +/, ""));
  const expected = [0, 1, 2, 3].map((n) => [
    `1 → echo(${n})`,
    `1 ← ${n}`,
    `1 → math.add(${n}, 1)`,
    `1 ← ${n + 1}`,
  ]);
  assertEquals(calls, expected.flat());
  const channels = live.flatMap((line) => /→ #(\d+)/.exec(line)?.[1] ?? []);
  assertEquals([channels.length, new Set(channels).size], [8, 1]);

  const shown = await cli(["inspect", file, "--selector=echo"]);
  const lines = plain(shown.stdout).slice(1, -1)
    .filter((line) =>
      line.includes(`#${channels.at(-1)} `) && !line.includes("OPEN")
    )
    .map((line) => line.replace(/#\d+ +/, "").replace(/B .*/, "B"));
  const sizes = (line: string) => line.replace(/\d+ B/, "n B");
  assertEquals(
    lines.map(sizes),
    [0, 1, 2, 3].flatMap((n) => [
      "1 → DATA          n B",
      `1 → echo(${n})`,
      "1 ← DATA          n B",
      `1 ← ${n}`,
    ]),
  );
  await Deno.remove(file);
});

Deno.test("qtalk inspect: over stdio, lines go to stderr and stdout carries frames", async () => {
  await using target = await server();
  const [program, ...args] = cliCommand(["inspect", "stdio:", target.addr]);
  const child = new Deno.Command(program, {
    args: [...args, "--calls"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const peer = new Peer(
    qmux({ readable: child.stdout, writable: child.stdin }),
  );
  const answer = within(peer.call("math.add", [1, 2]), "an answer");
  assertEquals(await answer, 3);
  await peer.close();
  const text = await new Response(child.stderr).text();
  assert(text.includes("math.add(1, 2)"), text);
  assertEquals((await child.status).code, 0);
});

Deno.test("qtalk inspect: what is no frame is said, and passes all the same", async () => {
  using target = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const echo = (async () => {
    const conn = await target.accept();
    await conn.readable.pipeTo(conn.writable);
  })();
  const address = `tcp://127.0.0.1:${target.addr.port}`;
  const lines = await inspecting(address, [], async (tapped) => {
    const port = Number(new URL(tapped).port);
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    const sent = new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n");
    await conn.write(sent);
    // Half-close: the echo is complete only if it arrives.
    await conn.closeWrite();
    const chunks = [];
    for await (const chunk of conn.readable) chunks.push(...chunk);
    assertEquals(new Uint8Array(chunks), sent);
  });
  await echo;
  const malformed = lines.filter((line) => line.includes("not a frame type"));
  assertEquals(malformed.map((line) => line.slice(0, 3)), ["1 →", "1 ←"]);
});

Deno.test("qtalk inspect: it exits with 2 or 3 if it cannot inspect", async () => {
  const file = await Deno.makeTempFile();
  const address = "tcp://127.0.0.1:0";
  for (
    const [code, text, ...words] of [
      [2, "expected two addresses or a file, got 0 arguments"],
      [2, "expected two addresses or a file", address, address, "x"],
      [2, "its scheme is not one of", address, "127.0.0.1:1"],
      [2, "it does not begin like a recording", file],
      [2, "Cannot read", `${file}.missing`],
      [2, "Cannot write", address, address, "--save", `${file}/x`],
      [2, "both --calls and --frames", file, "--calls", "--frames"],
      [2, "not one of json, cbor, msgpack", file, "--codec", "xml"],
      [2, "not a whole number", file, "--channel", "all"],
    ] as const
  ) {
    const output = await cli(["inspect", ...words]);
    assertEquals([output.code, output.stdout], [code, ""], output.stderr);
    assert(output.stderr.includes(text), output.stderr);
  }
  await Deno.remove(file);
});

Deno.test("qtalk inspect: a server that cannot be dialed is reported, and the client is closed", async () => {
  await using tap = startCli([
    "inspect",
    "tcp://127.0.0.1:0",
    "tcp://127.0.0.1:1",
  ]);
  const tapped = LISTENING.exec(await tap.line(LISTENING))![1]!;
  const peer = await dial(tapped);
  await assertRejects(() => within(peer.call("x"), "the call"));
  await tap.errorLine(/^error: Cannot dial "tcp:/);
  await peer.close();
  const { code } = await tap.end("SIGINT");
  assertEquals(code, 0);
});
