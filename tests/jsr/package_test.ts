// The package that is published to JSR, imported from a registry on the loopback
// interface: what programs, types and the command line load there.

import { assertEquals, assertMatch } from "@std/assert";
import { sharedJsrPackage } from "../package/shared_jsr_package.ts";
import { config } from "../package/sources.ts";
import { read } from "../support/docs.ts";
import { startProgram } from "../support/program.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";
import {
  packageIn,
  type Registry,
  serveRegistry,
  standIns,
} from "./registry.ts";

const { name, version, exports } = config();
const OWN = `jsr:${name}@${version}`;

let registry: Registry;
let files: Record<string, string>;
let env: Record<string, string>;

Deno.test.beforeAll(async () => {
  await using folder = await temporaryFolder();
  const own = packageIn(await sharedJsrPackage(folder.path));
  ({ files } = own);
  registry = await serveRegistry([own, ...standIns()]);
  env = { JSR_URL: registry.url, NO_COLOR: "1" };
});

Deno.test.afterAll(async () => await registry[Symbol.asyncDispose]());

/** Runs Deno in a folder with some files; returns what it printed. */
async function run(
  args: string[],
  sources: Record<string, string> = {},
): Promise<string> {
  await using folder = await temporaryFolder();
  for (const [path, text] of Object.entries(sources)) {
    await Deno.writeTextFile(`${folder.path}/${path}`, text);
  }
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: folder.path,
    env,
  }).output();
  const decoder = new TextDecoder();
  return decoder.decode(stdout) + decoder.decode(stderr);
}

Deno.test("jsr: a program that checks its types calls, streams and fails as with the sources", async () => {
  const source = `
    import { CallError, dial, handlerFrom, listen } from "${OWN}";
    import { MuxError } from "${OWN}/mux";
    import { CallError as Same } from "${OWN}/rpc";
    import { cbor } from "${OWN}/codec/cbor";
    const service = {
      add: (a: number, b: number) => a + b,
      async *count(n: number) { for (let i = 0; i < n; i++) yield i; },
    };
    const codec = cbor();
    await using listener = await listen("tcp://127.0.0.1:0", {
      handler: handlerFrom(service),
      codec,
    });
    const peer = await dial(listener.addr, { codec });
    const remote = peer.remote<typeof service>();
    const sum: number = await remote.add(1, 2);
    const counted: number[] = [];
    for await (const n of await remote.count(3)) counted.push(n);
    const error = await peer.call("nothing").catch((error) => error);
    await peer.close();
    const lost = await peer.call("add", [1, 2]).catch((error) => error);
    console.log(JSON.stringify([
      sum, counted, (error as { code?: unknown }).code, CallError === Same,
      lost instanceof CallError || lost instanceof MuxError,
    ]));`;
  const args = ["run", "-A", "--quiet", "--check", "program.ts"];
  assertEquals(
    await run(args, { "program.ts": source }),
    '[3,[0,1,2],"not-found",true,true]\n',
  );
});

Deno.test("jsr: a wrong type is an error of the program's", async () => {
  const source = `
    import type { Remote } from "${OWN}";
    declare const remote: Remote<{ add(a: number, b: number): number }>;
    export const sum: Promise<string> = remote.add(1, 2);`;
  assertMatch(
    await run(["check", "program.ts"], { "program.ts": source }),
    /TS2322[^]*'number' is not assignable to type 'string'/,
  );
});

Deno.test("jsr: each subpath has the documentation of its module, with examples as they are written", async () => {
  for (const [path, module] of Object.entries(exports)) {
    const text = await run(["doc", "--json", OWN + path.slice(1)]);
    const [, line] = /^\/\*\*\n \* (.+)\n/.exec(read(module))!;
    const has = (part: string) =>
      text.includes(JSON.stringify(part).slice(1, -1));
    assertEquals([path, has(line!), has("jsr:@std/")], [path, true, false]);
  }
});

Deno.test("jsr: the package consists of few files", () => {
  const modules = Object.keys(files).filter((path) => path.endsWith(".js"));
  const entries = Object.keys(exports).length;
  // One or two for each entry and for each part that is loaded when it is needed.
  assertEquals(modules.length < 2 * entries + 20, true, `${modules.length}`);
});

Deno.test("jsr: files have no comments, which Deno would read and hash at each start", () => {
  for (const [path, text] of Object.entries(files)) {
    if (!path.endsWith(".js")) continue;
    const comments = text.match(/^\s*\/[/*](?! @ts-self-types).*/gm);
    assertEquals([path, comments], [path, null]);
  }
});

Deno.test("jsr: the functions that a start calls are compiled with their file", () => {
  assertMatch(
    files["/core.js"]!,
    /^var dialOnce = \(async function dialOnce/m,
  );
});

Deno.test("jsr: the command line serves with workers, and loads codecs, the rendezvous and what makes certificates", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(
    `${folder.path}/service.ts`,
    `export default { Upper: (s: string) => s.toUpperCase() };`,
  );
  const cli = ["run", "-A", "--quiet", "--unstable-net", `${OWN}/cli`];
  const address = /(tcp:\/\/\S+)/;
  await using server = startProgram("env", [
    `JSR_URL=${registry.url}`,
    Deno.execPath(),
    ...cli,
    "serve",
    `${folder.path}/service.ts`,
    ...["--address", "tcp://127.0.0.1:0", "--parallel", "2"],
    ...["--codec", "json,cbor,msgpack"],
  ]);
  const [found] = address.exec(await server.line(address))!;
  for (const codec of ["json", "cbor", "msgpack"]) {
    const call = ["call", `${found}/Upper`, '"a"', "--codec", codec];
    assertEquals(await run([...cli, ...call]), '"A"\n');
  }
  // The module that it loads finds what is wrong.
  const wrong = ["rendezvous", "tcp://127.0.0.1:0", "--known-as=a b"];
  assertMatch(await run([...cli, ...wrong]), /neither a host nor/);
  assertEquals(await run([...cli, "--version"]), `qtalk ${version}\n`);
  assertMatch(await run([...cli, "cert", "ca", "--out", "."]), /ca\.pem/);
});
