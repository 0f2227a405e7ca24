// The interop tests over QUIC. qtalk-go's own package for it does not build with a
// current version of Go, so the Go end is a program of this project on quic-go,
// which follows what that package does on the wire.

import { dial } from "@qtalk/qtalk";
import { assert } from "@std/assert";
import { loopbackCertificate } from "../support/quic.ts";
import { within } from "../support/within.ts";
import { type Case, CASES, MORE_CASES } from "./cases.ts";
import { type Outcomes, runProgram } from "./go_client.ts";
import { CASE_NAMES, type CaseName } from "./names.ts";
import { checkLog, startProgram } from "./processes.ts";
import { buildGo } from "./reference.ts";
import { interopService, MAX_VALUE_SIZE } from "./service.ts";

const directory = Deno.makeTempDirSync({ prefix: "qtalk_interop_" });
addEventListener("unload", () => {
  Deno.removeSync(directory, { recursive: true });
});
const { binary, missing } = await buildGo(directory, "go_quic", "quic-go");
if (missing !== undefined) {
  const text = `interop: the tests with quic-go are skipped: ${missing}\n`;
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}
const { cert, key, authority } = await loopbackCertificate();
const files = { cert, key, ca: authority.cert };
for (const [name, pem] of Object.entries(files)) {
  Deno.writeTextFileSync(`${directory}/${name}.pem`, pem);
}
const WORDS = ["quic", `${directory}/cert.pem`, `${directory}/key.pem`];
const CA = `${directory}/ca.pem`;

const DENO_SERVE = [
  Deno.execPath(),
  "run",
  "--unstable-net",
  "--allow-net=127.0.0.1",
  `--allow-read=${directory}`,
  new URL("serve.ts", import.meta.url).pathname,
];

/**
 * What neither side learns of the other in this dialect: that a call was cancelled
 * before it is answered. qtalk-go ends both directions, of which Deno shows the end
 * of the one; and Deno asks to stop the other one when the read that waits has
 * ended, which is when the answer comes.
 */
const NOT_SEEN: readonly CaseName[] = ["cancel"];

const names = Object.keys(CASE_NAMES) as CaseName[];
const seen = names.filter((name) => !NOT_SEEN.includes(name));

testClient("deno → deno", names, DENO_SERVE);
testClient("deno → quic-go", seen, [binary ?? "", "serve"], missing);
testGoClient();

/** One test for each case of a Deno client, each with a server of its own. */
function testClient(
  direction: string,
  names: readonly CaseName[],
  serve: string[],
  missing?: string,
) {
  const cases: [string, Case][] = [
    ...names.map((name): [string, Case] => [CASE_NAMES[name], CASES[name]]),
    ...Object.entries(MORE_CASES),
  ];
  for (const [name, run] of cases) {
    Deno.test({
      name: `interop: ${direction}, quic: ${name}`,
      ignore: missing !== undefined,
      async fn() {
        await using server = await startProgram([...serve, ...WORDS]);
        const peer = await dial(`quic://${server.address}`, {
          handler: interopService(),
          maxValueSize: MAX_VALUE_SIZE,
          tls: { ca: authority.cert },
          // A process that was killed says nothing, and is missed soon.
          session: { keepAlive: { interval: 2_000, timeout: 6_000 } },
          onError() {},
        });
        const test = (peer: Parameters<Case>[0]) => within(run(peer), name);
        await checkLog(peer, test, () => server.stop());
      },
    });
  }
}

/** One test for each case of the Go client, as those over other transports. */
function testGoClient() {
  const runs = new Map<boolean, Promise<Outcomes>>();
  for (const name of seen) {
    const fatal = name === "peer-dies";
    Deno.test({
      name: `interop: quic-go → deno, quic: ${CASE_NAMES[name]}`,
      ignore: missing !== undefined,
      async fn() {
        const together = seen.filter((other) =>
          (other === "peer-dies") === fatal
        );
        if (!runs.has(fatal)) runs.set(fatal, runGo(together));
        const outcomes = await runs.get(fatal)!;
        assert(outcomes.has(name), "the client did not run the case");
        assert(outcomes.get(name) === undefined, outcomes.get(name));
      },
    });
  }
}

async function runGo(together: CaseName[]): Promise<Outcomes> {
  await using server = await startProgram([...DENO_SERVE, ...WORDS]);
  const args = ["client", "quic", server.address, CA, ...together];
  return await runProgram(binary!, args);
}
