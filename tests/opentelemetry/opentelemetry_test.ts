import { assert, assertEquals } from "@std/assert";
import { within } from "../support/within.ts";
import { type CollectedSpan, Collector } from "./collector.ts";

function start(
  program: "server" | "client",
  env: Record<string, string>,
  ...args: string[]
): Deno.ChildProcess {
  const path = new URL(`${program}.ts`, import.meta.url).pathname;
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", path, ...args],
    env,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs a server and a client; resolves to what the client printed. */
async function run(
  env: (program: string) => Record<string, string>,
): Promise<string> {
  const server = start("server", env("server"));
  const lines = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { value } = await within(lines.read(), "the server's address");
    text += value ?? "\n";
  }
  const client = start("client", env("client"), text.trim());
  const output = await within(client.output(), "the client");
  const errors = new TextDecoder().decode(output.stderr);
  assertEquals(output.code, 0, errors);
  await lines.cancel();
  await within(server.stderr.cancel(), "the server's output");
  assertEquals((await within(server.status, "the server")).code, 0);
  return new TextDecoder().decode(output.stdout);
}

const PRINTED = [
  "3",
  "[ 1, 2 ]",
  "Ann",
  "remote: Not today",
  "remote: A bug",
  "remote: not found: /missing/thing",
  "",
].join("\n");

Deno.test("opentelemetry: both sides of a call are spans of one trace, and are measured", async () => {
  await using collector = new Collector();
  assertEquals(await run((program) => collector.env(program)), PRINTED);
  const { spans, points } = collector;
  const one = (name: string, program: string): CollectedSpan => {
    const found = spans.filter((span) =>
      span.name === name && span.program === program
    );
    assertEquals(found.length, 1, `${program}: ${name}`);
    return found[0]!;
  };
  const request = one("request", "client");
  const pair = (name: string, caller = "client", parent = request) => {
    const client = one(name, caller);
    const server = one(name, caller === "client" ? "server" : "client");
    assertEquals([client.kind, server.kind], [3, 2], name);
    assertEquals(client.parentSpanId, parent.spanId, name);
    assertEquals(server.parentSpanId, client.spanId, name);
    assertEquals(server.traceId, request.traceId, name);
    return { client, server };
  };

  const add = pair("math/add");
  for (const { attributes } of [add.client, add.server]) {
    assertEquals(attributes["rpc.system.name"], "qtalk");
    assertEquals(attributes["rpc.method"], "math/add");
    assertEquals(attributes["error.type"], undefined);
  }
  assertEquals(add.server.attributes["network.peer.address"], "127.0.0.1");
  assertEquals(one("adding", "server").parentSpanId, add.server.spanId);

  // A generator runs while its stream is read.
  const count = pair("count");
  for (const name of ["counting 1", "counting 2"]) {
    assertEquals(one(name, "server").parentSpanId, count.server.spanId);
  }
  // A handler that calls its caller.
  const back = pair("back");
  pair("name", "server", back.server);

  const refuse = pair("refuse");
  assertEquals(refuse.client.attributes["error.type"], "unavailable-today");
  assertEquals(refuse.server.attributes["error.type"], "unavailable-today");
  for (const { attributes } of [refuse.client, refuse.server]) {
    assertEquals(attributes["rpc.response.status_code"], "unavailable-today");
  }
  assertEquals([refuse.client.status, refuse.server.status], [2, 0]);
  const fail = pair("fail");
  assertEquals(fail.server.attributes["error.type"], "TypeError");
  assertEquals([fail.client.status, fail.server.status], [2, 2]);

  const figure = (name: string, method: string) => {
    const found = points.filter((point) =>
      point.name === name && point.attributes["rpc.method"] === method
    );
    assert(found.length > 0, `${name} of ${method}`);
    return found.at(-1)!;
  };
  for (const side of ["client", "server"]) {
    const point = figure(`rpc.${side}.call.duration`, "math/add");
    assertEquals(point.count, 1);
    const failed = figure(`rpc.${side}.call.duration`, "fail");
    assert(failed.attributes["error.type"] !== undefined);
  }
  // Anyone can invent names of methods that do not exist.
  const names = points.filter(({ name }) => name === "rpc.server.call.duration")
    .map(({ attributes }) => attributes["rpc.method"]);
  assertEquals([names.includes("missing/thing"), names.includes("_OTHER")], [
    false,
    true,
  ]);
  const { attributes } = one("_OTHER", "server");
  assertEquals(attributes["rpc.method"], "_OTHER");
  assertEquals(attributes["rpc.method_original"], "missing/thing");
});

Deno.test("opentelemetry: without OTEL_DENO, calls work and nothing is exported", async () => {
  await using collector = new Collector();
  const env = (program: string) => ({
    ...collector.env(program),
    OTEL_DENO: "false",
  });
  assertEquals(await run(env), PRINTED);
  assertEquals([collector.spans.length, collector.points.length], [0, 0]);
});
