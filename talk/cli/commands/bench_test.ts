import { handlerFrom, listen } from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { assert, assertEquals } from "@std/assert";
import { cli } from "../../../tests/support/cli.ts";
import { interopService } from "../peers/interop_service.ts";

const SHORT = ["--seconds", "0.1", "--mib", "1"];

Deno.test("qtalk bench: it measures calls and bytes to its own child process", async () => {
  const { code, stdout, stderr } = await cli(["bench", ...SHORT]);
  assertEquals([code, stderr], [0, ""], stdout);
  const figures = stdout.matchAll(/^(.*?)  +([\d,]+) (calls\/s|MiB\/s)/gm);
  const rows = [...figures].map(([, what, figure, unit]) => {
    assert(Number(figure!.replaceAll(",", "")) > 0, stdout);
    return `${what}: ${unit}`;
  });
  assertEquals(rows, [
    "Unary, 1 in flight: calls/s",
    "Unary, 64 in flight: calls/s",
    "Bytes, there and back: MiB/s",
  ]);
});

Deno.test("qtalk bench: it measures a service at an address and prints JSON", async () => {
  await using listener = await listen("tcp://127.0.0.1:0", {
    handler: interopService(),
    codec: cbor(),
  });
  const args = ["bench", listener.addr, "--json", ...SHORT];
  const { code, stdout, stderr } = await cli(args);
  assertEquals([code, stderr], [0, ""], stdout);
  const { bytes, ...calls } = JSON.parse(stdout);
  assert(bytes.mibPerSecond > 0, stdout);
  assertEquals(Object.keys(calls), ["calls-1", "calls-64"]);
  for (const name of Object.keys(calls)) {
    const { callsPerSecond, p50, p99 } = calls[name];
    assert(callsPerSecond > 0 && p50 > 0 && p99 >= p50, stdout);
  }
});

Deno.test("qtalk bench: it measures calls of any function", async () => {
  let last = "";
  await using listener = await listen("tcp://127.0.0.1:0", {
    handler: handlerFrom({
      Upper: (s: string) => last = s.toUpperCase(),
    }),
  });
  const args = ["bench", `${listener.addr}/Upper`, "hello", "--codec", "json"];
  const { code, stdout, stderr } = await cli([...args, ...SHORT]);
  assertEquals([code, stderr], [0, ""], stdout);
  assert(/^Upper, 1 in flight .*\nUpper, 64 in flight .*\n$/.test(stdout));
  assertEquals(last, "HELLO");
});

Deno.test("qtalk bench: it exits with 1, 2 or 3 when it cannot measure", async () => {
  await using listener = await listen("tcp://127.0.0.1:0", { codec: cbor() });
  for (
    const [code, text, ...words] of [
      [1, "remote: not found: /Unary", listener.addr],
      [1, "remote: not found: /x", `${listener.addr}/x`],
      [2, '"0" is not a number above 0', "--seconds", "0"],
      [2, '"all" is not a number above 0', "--mib", "all"],
      [3, "Cannot dial", "tcp://127.0.0.1:1"],
      [3, "Connection is lost", "exit 1"],
    ] as const
  ) {
    const output = await cli(["bench", ...words]);
    assertEquals([output.code, output.stdout], [code, ""], output.stderr);
    assert(output.stderr.includes(text), output.stderr);
  }
});
