// The interop tests with the reference, in both directions, and of the Deno
// mirror with itself: that one runs where the reference cannot be had, and
// keeps this side of the tests alive there.

import { cbor } from "@qtalk/qtalk/codec/cbor";
import { assert, assertEquals } from "@std/assert";
import { within } from "../support/within.ts";
import { type Case, CASES, MORE_CASES } from "./cases.ts";
import { type Outcomes, runGoClient } from "./go_client.ts";
import { CASE_NAMES, type CaseName } from "./names.ts";
import {
  denoServe,
  goServe,
  type Serve,
  type TransportName,
  TRANSPORTS,
  withPeer,
} from "./processes.ts";
import { buildReference } from "./reference.ts";
import { interopService } from "./service.ts";

const directory = Deno.makeTempDirSync({ prefix: "qtalk_interop_" });
addEventListener("unload", () => {
  Deno.removeSync(directory, { recursive: true });
});
// Known before the tests are, so that those that cannot run are named as such.
const { binary, missing } = await buildReference(directory);
if (missing !== undefined) {
  const text = `interop: the tests with Go are skipped: ${missing}\n`;
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}

const names = Object.keys(CASE_NAMES) as CaseName[];

for (const transport of TRANSPORTS) {
  testClient("deno → deno", denoServe, transport);
  testClient("deno → go", goServe(binary ?? ""), transport, missing);
  testGoClient(transport);
}

/** One test for each case of a Deno client, each with a server of its own. */
function testClient(
  direction: string,
  serve: Serve,
  transport: TransportName,
  missing?: string,
): void {
  const cases: [string, Case][] = [
    ...names.map((name): [string, Case] => [CASE_NAMES[name], CASES[name]]),
    ...Object.entries(MORE_CASES),
  ];
  for (const [name, run] of cases) {
    Deno.test({
      name: `interop: ${direction}, ${transport}: ${name}`,
      ignore: missing !== undefined,
      fn: () =>
        withPeer(
          serve,
          transport,
          interopService(),
          (peer) => within(run(peer), name),
        ),
    });
  }
}

/**
 * One test for each case of the Go client. Two runs serve them all: one
 * session goes through every case, which is part of what is tested, and one
 * sees its other end die.
 */
function testGoClient(transport: TransportName): void {
  const runs = new Map<boolean, Promise<Outcomes>>();
  for (const name of names) {
    const fatal = name === "peer-dies";
    Deno.test({
      name: `interop: go → deno, ${transport}: ${CASE_NAMES[name]}`,
      ignore: binary === undefined,
      async fn() {
        const cases = names.filter((other) =>
          (other === "peer-dies") === fatal
        );
        if (!runs.has(fatal)) {
          runs.set(fatal, runGoClient(binary!, transport, cases));
        }
        const outcomes = await runs.get(fatal)!;
        assert(outcomes.has(name), "the client did not run the case");
        assert(outcomes.get(name) === undefined, outcomes.get(name));
      },
    });
  }
}

/** What the Go program makes of a value in CBOR. */
async function goDecodes(bytes: Uint8Array): Promise<unknown> {
  const child = new Deno.Command(binary!, {
    args: ["tags"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(bytes);
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  assert(success, decoder.decode(stderr));
  return JSON.parse(decoder.decode(stdout));
}

const TAGGED = {
  At: new Date("2024-02-29T12:34:56.789Z"),
  Text: new Date(0),
  Tags: new Set(["a", "b"]),
  Sizes: new Map([["b", 1], ["a", 2]]),
  Sparse: new Map([[1, "one"], [-2, "minus two"]]),
  Small: 7n,
  Minus: -7n,
  Large: 2n ** 64n - 1n,
  Huge: 2n ** 70n,
  Bytes: new Uint8Array([1, 2, 3]),
};

Deno.test({
  name:
    "interop: deno → go: values with CBOR's tags are read as they were meant",
  ignore: missing !== undefined,
  async fn() {
    const [typed, kinds] = await goDecodes(cbor().encode(TAGGED)) as [
      Record<string, unknown>,
      Record<string, string>,
    ];
    assertEquals(typed, {
      At: "2024-02-29T12:34:56.789Z",
      Text: "1970-01-01T00:00:00.000Z",
      Tags: ["a", "b"],
      Sizes: { a: 2, b: 1 },
      Sparse: { "1": "one", "-2": "minus two" },
      Small: 7,
      Minus: -7,
      // What JSON.parse() makes of them.
      Large: 2 ** 64,
      Huge: 2 ** 70,
      Bytes: "AQID",
    });
    assertEquals(kinds["At"], "time.Time");
    assertEquals(kinds["Small"], "big.Int");
    assertEquals(kinds["Large"], "uint64");
  },
});

Deno.test({
  name:
    "interop: deno → go: without tags, Go reads plain values into an interface{}",
  ignore: missing !== undefined,
  async fn() {
    const { At, Text, Small, Minus, Large, Bytes } = TAGGED;
    const plain = { At, Text, Small, Minus, Large, Bytes };
    const [typed, kinds] = await goDecodes(
      cbor({ tags: false }).encode(plain),
    ) as [Record<string, unknown>, Record<string, string>];
    assertEquals(typed["At"], "2024-02-29T12:34:56.789Z");
    assertEquals(kinds, {
      At: "string",
      Text: "string",
      Small: "uint64",
      Minus: "int64",
      Large: "uint64",
      Bytes: "[]uint8",
    });
  },
});
