import { handlerFrom, listen } from "@qtalk/qtalk";
import { withReflection } from "@qtalk/qtalk/reflection";
import { assert, assertEquals } from "@std/assert";
import { cli } from "../../../tests/support/cli.ts";
import { servePlain } from "../../../tests/support/plain_server.ts";

/** A server whose check says what the test wants. */
function serve(health: () => unknown) {
  const service = handlerFrom({ ping: () => "pong" });
  return listen("tcp://127.0.0.1:0", {
    handler: withReflection(service, { health }),
  });
}

Deno.test("qtalk health: a server that can do its work exits with 0", async () => {
  await using server = await serve(() => ({ queue: 3 }));
  const { code, stdout, stderr } = await cli(["health", server.addr]);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(JSON.parse(stdout), {
    status: "serving",
    details: { queue: 3 },
  });
});

Deno.test("qtalk health: a server that cannot exits with 1, and says why", async () => {
  await using server = await serve(() => {
    throw new Error("no database");
  });
  const { code, stdout } = await cli(["health", server.addr]);
  assertEquals(code, 1);
  assertEquals(JSON.parse(stdout), {
    status: "not-serving",
    reason: "no database",
  });
});

Deno.test("qtalk health: a server that does not tell exits with 1", async () => {
  await using server = await listen("tcp://127.0.0.1:0");
  const { code, stdout, stderr } = await cli(["health", server.addr]);
  assertEquals([code, stdout], [1, ""]);
  assert(stderr.includes("The server does not tell its health"), stderr);

  await using other = await servePlain(() => ({ value: "fine" }));
  const answer = await cli(["health", other.addr]);
  assertEquals([answer.code, answer.stdout], [1, ""]);
  assert(answer.stderr.includes("answers with something else"), answer.stderr);
});

Deno.test("qtalk health: without an answer it exits with 3", async () => {
  await using silent = await servePlain(() => undefined);
  const args = ["health", silent.addr, "--timeout", "0.5"];
  assertEquals((await cli(args)).code, 3);
});

Deno.test("qtalk health: it takes one address without a selector", async () => {
  for (const words of [[], ["tcp://a:1/x"], ["tcp://a:1", "tcp://b:1"]]) {
    assertEquals((await cli(["health", ...words])).code, 2);
  }
});
