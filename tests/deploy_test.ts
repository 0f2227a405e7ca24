import { RemoteError } from "@qtalk/qtalk";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { bundle } from "./support/bundle.ts";
import { HERE, MAIN, Program, ROOT, Visitor } from "./support/deploy.ts";
import { within } from "./support/within.ts";

const BUNDLE = "examples/deploy/client.bundle.js";

/** A database's file that is gone afterwards. */
function database(): Disposable & { path: string } {
  const folder = Deno.makeTempDirSync();
  return {
    path: `${folder}/state`,
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}

Deno.test("deploy: --allow-net alone serves the page, its bundle and peers, and says what is missing", async () => {
  await using app = new Program(["--allow-net", MAIN, ...HERE]);
  const url = await app.line("serving on ");
  for (
    const [path, file] of [["", "page.html"], ["client.js", "client.bundle.js"]]
  ) {
    const response = await fetch(url + path);
    assertEquals(response.status, 200);
    assertEquals(
      await response.text(),
      Deno.readTextFileSync(new URL(`examples/deploy/${file}`, ROOT)),
    );
  }
  const missing = await fetch(`${url}nothing`);
  assertEquals(missing.status, 404);
  await missing.body?.cancel();

  {
    await using ann = new Visitor(url);
    await using bob = new Visitor(url);
    assertEquals(await ann.call("upper", "hello"), "HELLO");
    assertEquals(await ann.call("join", " Ann "), ["Ann"]);
    await bob.sees("Ann");
    assertEquals(await bob.call("join", "Bob"), ["Ann", "Bob"]);
    await ann.sees("Ann", "Bob");
    // Another name takes the place of the first.
    await bob.call("join", "Bert");
    await ann.sees("Ann", "Bert");
    await bob.call("leave");
    await ann.sees("Ann");
    for (const name of ["", " ", "x".repeat(41), 7]) {
      await assertRejects(
        () => bob.call("join", name),
        RemoteError,
        "Cannot join: a name has 1 to 40 characters",
      );
    }
    assertEquals(await bob.call("who"), ["Ann"]);
  }
  app.child.kill("SIGINT");
  assertEquals((await app.ended()).code, 0);
  assertEquals(
    await app.errors,
    "Cannot share state: there is no Deno.openKv. Run with --unstable-kv, " +
      "which Deno Deploy does not need. Names are those of this process\n",
  );
});

Deno.test("deploy: a name goes with the last connection that joined by it", async () => {
  await using app = new Program(["--allow-net", MAIN, ...HERE]);
  const url = await app.line("serving on ");
  await using watching = new Visitor(url);
  {
    await using first = new Visitor(url);
    await first.call("join", "Ann");
    {
      await using second = new Visitor(url);
      await second.call("join", "Ann");
      await second.call("join", "Ann");
      await using third = new Visitor(url);
      await third.call("join", "Zoe");
      await watching.sees("Ann", "Zoe");
    }
    await watching.sees("Ann");
  }
  await watching.sees();
  assertEquals(await watching.call("who"), []);
});

Deno.test("deploy: two isolates on one database hear of each other by watch alone", async () => {
  using kv = database();
  await using isolates = new Program([
    "-A",
    "--unstable-kv",
    "tests/support/deploy_isolates.ts",
    kv.path,
  ]);
  const urls = await Promise.all(
    [0, 1].map((n) => isolates.line("serving on ", n)),
  );
  assert(urls[0] !== urls[1]);
  {
    await using here = new Visitor(urls[0]!);
    await using there = new Visitor(urls[1]!);
    await here.call("join", "Ann");
    await there.sees("Ann");
    await there.call("join", "Bob");
    await here.sees("Ann", "Bob");
    {
      // The same name twice, in both isolates: once in the list.
      await using again = new Visitor(urls[1]!);
      await again.call("join", "Ann");
      await again.call("join", "Zoe");
      await here.sees("Ann", "Bob", "Zoe");
    }
    await here.sees("Ann", "Bob");
    await here.call("leave");
    await there.sees("Bob");
  }
  await isolates.child.stdin.close();
  assertEquals((await isolates.ended()).code, 0, await isolates.errors);
});

Deno.test("deploy: two processes share their names by reading again, and one that closes takes its own away", async () => {
  using kv = database();
  const args = ["-A", "--unstable-kv", MAIN, ...HERE, `--kv=${kv.path}`];
  await using first = new Program([...args, "--reread=20"]);
  const url = await first.line("serving on ");
  await using second = new Program(args); // by the default
  const other = await second.line("serving on ");
  await using ann = new Visitor(url);
  await using bob = new Visitor(other);
  await ann.call("join", "Ann");
  await bob.sees("Ann");
  await bob.call("join", "Bob");
  await ann.sees("Ann", "Bob");
  second.child.kill("SIGINT");
  assertEquals((await second.ended()).code, 0);
  await ann.sees("Ann");
  first.child.kill("SIGINT");
  assertEquals((await first.ended()).code, 0);
  assertEquals(await first.errors + await second.errors, "");
});

Deno.test("deploy: names stay while their process lives, and are forgotten when it was killed", async () => {
  using kv = database();
  const args = ["-A", "--unstable-kv", MAIN, ...HERE, `--kv=${kv.path}`];
  args.push("--reread=20", "--lease=300");
  await using first = new Program(args);
  await using bob = new Visitor(await first.line("serving on "));
  await using second = new Program(args);
  await using ann = new Visitor(await second.line("serving on "));
  await using third = new Program(args);
  await using zoe = new Visitor(await third.line("serving on "));
  await ann.call("join", "Ann");
  await zoe.call("join", "Zoe");
  await bob.sees("Ann", "Zoe");
  third.child.kill("SIGKILL");
  // Once her lease is over, Ann's, which began before, has been renewed.
  await bob.sees("Ann");
  assertEquals(await bob.call("who"), ["Ann"]);
  second.child.kill("SIGKILL");
  await bob.sees();
  assertEquals(await bob.call("who"), []);
});

Deno.test("deploy: two processes share the database that Deno keeps for them, without another permission", async () => {
  using kv = database();
  const args = ["--allow-net", "--unstable-kv", MAIN, ...HERE, "--reread=20"];
  const env = { DENO_DIR: kv.path };
  await using first = new Program(args, env);
  await using ann = new Visitor(await first.line("serving on "));
  await using second = new Program(args, env);
  await using bob = new Visitor(await second.line("serving on "));
  await ann.call("join", "Ann");
  await bob.call("join", "Bob");
  await ann.sees("Ann", "Bob");
  await bob.sees("Ann", "Bob");
  for (const app of [first, second]) {
    app.child.kill("SIGINT");
    assertEquals((await app.ended()).code, 0);
    assertEquals(await app.errors, "");
  }
});

Deno.test("deploy: on SIGINT running calls finish, new ones are refused as unavailable, then it ends", async () => {
  await using app = new Program([
    "--allow-net",
    MAIN,
    ...HERE,
    "--drain-timeout=60000",
  ]);
  const url = await app.line("serving on ");
  await using ann = new Visitor(url);
  const running = ann.call("countdown", 1);
  await within(ann.ticked.promise, "the call's first step");
  app.child.kill("SIGINT");
  await app.line("closing");
  const error = await assertRejects(() => ann.call("upper", "x"), RemoteError);
  assertEquals(error.code, "unavailable");
  const late = await fetch(`${url}rpc`, {
    headers: { upgrade: "websocket", connection: "upgrade" },
  });
  assertEquals(late.status, 503);
  await late.body?.cancel();
  ann.goOn.resolve();
  assertEquals(await running, "done");
  assertEquals((await app.ended()).code, 0);
});

Deno.test("deploy: calls that are not done within --drain-timeout are ended", async () => {
  await using app = new Program([
    "--allow-net",
    MAIN,
    ...HERE,
    "--drain-timeout=50",
  ]);
  await using ann = new Visitor(await app.line("serving on "));
  const running = assertRejects(() => ann.call("countdown", 60));
  await within(ann.ticked.promise, "the call's first step");
  app.child.kill("SIGINT");
  await running;
  assertEquals((await app.ended()).code, 0);
});

for (const address of ["ws://127.0.0.1:0/", "tcp://127.0.0.1:0"]) {
  const scheme = address.slice(0, address.indexOf(":"));
  Deno.test(`deploy: an application that dials out over ${scheme} is called on that session`, async () => {
    await using home = new Program([
      "--allow-net",
      "examples/deploy/home.ts",
      address,
    ]);
    const listening = await home.line("listening on ");
    await using app = new Program([
      "--allow-net",
      "examples/deploy/reverse.ts",
      listening,
      "0",
    ]);
    assertEquals(await app.line("serving calls of "), listening);
    await home.line("done");
    assertEquals(home.lines.slice(1), [
      "HELLO FROM HOME",
      "25 %",
      "50 %",
      "75 %",
      "100 %",
      "done",
    ]);
    app.child.kill("SIGINT");
    assertEquals((await app.ended()).code, 0);
  });
}

Deno.test("deploy: the page's bundle is what `deno task bundle` makes", async () => {
  const { tasks } = JSON.parse(
    Deno.readTextFileSync(new URL("deno.json", ROOT)),
  );
  const [program, command, ...args] = tasks.bundle.command.split(" ");
  assertEquals([program, command], ["deno", "bundle"]);
  const made = Deno.makeTempFileSync({ suffix: ".js" });
  try {
    const at = args.indexOf(BUNDLE);
    assert(at > 0, "the task makes the bundle");
    await bundle(...args.with(at, made));
    const fresh = Deno.readTextFileSync(made);
    assertStringIncludes(fresh, "countdown");
    assert(
      fresh === Deno.readTextFileSync(new URL(BUNDLE, ROOT)),
      `${BUNDLE} is older than what it is made of: run deno task bundle`,
    );
  } finally {
    Deno.removeSync(made);
  }
});
