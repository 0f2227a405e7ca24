import {
  handlerFrom,
  listen,
  type Listener,
  type Peer,
  Router,
  withStream,
} from "@qtalk/qtalk";
import { json } from "@qtalk/qtalk/codec";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { assert, assertEquals } from "@std/assert";
import { cli, type CliOptions, startCli } from "../../../tests/support/cli.ts";
import { serveDescribed } from "../../../tests/support/described_service.ts";
import { servePlain } from "../../../tests/support/plain_server.ts";
import { within } from "../../../tests/support/within.ts";

function service(): Router {
  const router = new Router();
  router.handle(
    "",
    handlerFrom({
      Upper: (s: string) => s.toUpperCase(),
      add: (a: number, b: number) => a + b,
      boom() {
        throw new Error("boom");
      },
      nothing() {},
      nan: () => NaN,
    }),
  );
  router.handle("echo", async (call, respond) => {
    await respond.return(await call.receive());
  });
  router.handle("several", async (_call, respond) => {
    await respond.return(1, "two", [3]);
  });
  return router;
}

/** Serves the service at an address. */
async function serving(
  use: (address: string, router: Router) => Promise<void>,
  address = "tcp://127.0.0.1:0",
): Promise<void> {
  const router = service();
  await using listener: Listener<Peer> = await listen(address, {
    handler: router,
    codecs: [json({ bigint: true }), cbor()],
  });
  await use(listener.addr, router);
}

/** What a successful call prints. */
async function printed(
  args: readonly string[],
  options: CliOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await cli(["call", ...args], options);
  assertEquals(stderr, "");
  assertEquals(code, 0);
  return stdout;
}

Deno.test("qtalk call: the response is printed as a line of JSON", () =>
  serving(async (address) => {
    assertEquals(await printed([`${address}/Upper`, '"hello"']), '"HELLO"\n');
    assertEquals(await printed([`${address}/nothing`]), "null\n");
  }));

Deno.test("qtalk call: address and selector may be one word or two", () =>
  serving(async (address) => {
    for (
      const words of [
        [`${address}/Upper`, "hello"],
        [address, "Upper", "hello"],
        [`${address}/`, "/Upper", "hello"],
      ]
    ) assertEquals(await printed(words), '"HELLO"\n', words.join(" "));
  }));

Deno.test("qtalk call: the selector follows the address of a Unix socket", async () => {
  const folder = await Deno.makeTempDir();
  await serving(async (address) => {
    assertEquals(await printed([address, "Upper", "hello"]), '"HELLO"\n');
  }, `unix:${folder}/socket`);
  await Deno.remove(folder);
});

Deno.test("qtalk call: the selector follows the address of a WebSocket", () =>
  serving(async (address) => {
    assert(address.endsWith("/rpc"));
    assertEquals(await printed([address, "Upper", "hello"]), '"HELLO"\n');
  }, "ws://127.0.0.1:0/rpc"));

Deno.test("qtalk call: an argument that is not JSON is a string", () =>
  serving(async (address) => {
    const words = {
      "true": "true",
      "null": "null",
      "1.5": "1.5",
      "-2": "-2",
      "-.5": '"-.5"',
      "12345678901234567890": "12345678901234567890",
      '{"a": [1]}': '{"a":[1]}',
      "hello": '"hello"',
      "two words": '"two words"',
      "1.2.3": '"1.2.3"',
      "": '""',
      "--dashes": '"--dashes"',
    };
    const { stdout } = await cli([
      "call",
      `${address}/echo`,
      ...Object.keys(words).slice(0, -1),
      "--",
      "--dashes",
    ]);
    assertEquals(stdout, `[${Object.values(words).join(",")}]\n`);
  }));

Deno.test("qtalk call: without arguments it sends null, and --value unchanged", () =>
  serving(async (address) => {
    const echo = `${address}/echo`;
    assertEquals(await printed([echo]), "null\n");
    assertEquals(await printed([echo, "--value", '{"a":1}']), '{"a":1}\n');
    assertEquals(await printed([echo, "--value", "-1"]), "-1\n");
    assertEquals(await printed([address, "--value=[]", "echo"]), "[]\n");
  }));

Deno.test("qtalk call: each value of the response is a line", () =>
  serving(async (address) => {
    assertEquals(await printed([`${address}/several`]), '1\n"two"\n[3]\n');
  }));

Deno.test("qtalk call --raw: strings are printed without quotes", () =>
  serving(async (address) => {
    assertEquals(await printed([`${address}/several`, "-r"]), "1\ntwo\n[3]\n");
  }));

Deno.test("qtalk call: the values of a stream are printed as they arrive", () =>
  serving(async (address, router) => {
    const seen = Promise.withResolvers<void>();
    router.handle("stream", async (_call, respond) => {
      const channel = await respond.continue();
      await respond.send(1);
      await seen.promise;
      await respond.send(null);
      await channel.close();
    });
    await using running = startCli(["call", `${address}/stream`]);
    assertEquals(await running.line(/./), "1");
    seen.resolve();
    const { code, stdout } = await running.end();
    // The null that begins the stream is not one of its values.
    assertEquals([code, stdout], [0, "1\nnull\n"]);
  }));

Deno.test("qtalk call: the first value of a stream is printed unless it is null", () =>
  serving(async (address, router) => {
    router.handle("count", async (call, respond) => {
      const [count] = await call.receive() as [number];
      const channel = await respond.continue(count);
      for (let i = 0; i < count; i++) await respond.send(i);
      await channel.close();
    });
    assertEquals(await printed([`${address}/count`, "2"]), "2\n0\n1\n");
  }));

Deno.test("qtalk call: it ends its direction of a stream", () =>
  serving(async (address, router) => {
    router.handle("untilEnd", async (call, respond) => {
      await call.receive();
      const channel = await respond.continue();
      for await (const value of call) await respond.send(value);
      await respond.send("the end");
      await channel.close();
    });
    assertEquals(await printed([`${address}/untilEnd`]), '"the end"\n');
  }));

Deno.test("qtalk call --stream: each line of stdin is an argument value", () =>
  serving(async (address, router) => {
    router.handle(
      "all",
      handlerFrom(
        withStream(async (values: AsyncIterable<unknown>) =>
          await Array.fromAsync(values)
        ),
      ),
    );
    router.handle(
      "plain",
      handlerFrom(async (values: AsyncIterable<unknown>) =>
        await Array.fromAsync(values)
      ),
    );
    const stdin = '1\n{"a": 2}\r\n\n"é"\n9007199254740993\nnull';
    const expected = '[1,{"a":2},"é",9007199254740993,null]\n';
    for (const method of ["all", "plain"]) {
      const args = [`${address}/${method}`, "--stream"];
      assertEquals(await printed(args, { stdin }), expected);
      assertEquals(await printed(args, { stdin: "" }), "[]\n");
    }
  }));

Deno.test("qtalk call --stream: a line is sent as it is read, and replies are printed as they arrive", () =>
  serving(async (address, router) => {
    router.handle(
      "double",
      handlerFrom(withStream(async function* (values: AsyncIterable<number>) {
        for await (const value of values) yield 2 * value;
      })),
    );
    const args = ["call", `${address}/double`, "--stream"];
    await using running = startCli(args, { stdin: "" });
    const writer = running.child.stdin.getWriter();
    const encoder = new TextEncoder();
    for (const n of [1, 2]) {
      await writer.write(encoder.encode(`${n}\n`));
      assertEquals(await running.line(/./), `${2 * n}`);
    }
    await writer.close();
    assertEquals((await running.end()).code, 0);
  }));

Deno.test("qtalk call --stream: it ends with the response, though stdin has not ended", () =>
  serving(async (address, router) => {
    router.handle("now", handlerFrom(withStream(() => "now")));
    await using running = startCli(["call", `${address}/now`, "--stream"], {
      stdin: "",
    });
    const { code, stdout } = await running.end();
    assertEquals([code, stdout], [0, '"now"\n']);
  }));

Deno.test("qtalk call --stream: a line that is not JSON exits with 2, and names the line", () =>
  serving(async (address, router) => {
    router.handle(
      "all",
      handlerFrom(
        withStream(async (values: AsyncIterable<unknown>) =>
          await Array.fromAsync(values)
        ),
      ),
    );
    for (const line of ["word", "{", "1 2", "'x'"]) {
      const { code, stderr } = await cli(
        ["call", `${address}/all`, "--stream"],
        { stdin: `1\n${line}\n` },
      );
      assertEquals(code, 2);
      assertEquals(
        stderr.split("\n")[0],
        `error: Cannot parse line 2 of stdin: "${line}" is not valid JSON`,
      );
    }
    for (const more of [["1"], ["--value", "1"], ["--bytes"]]) {
      const { code } = await cli(
        ["call", `${address}/all`, "--stream", ...more],
      );
      assertEquals(code, 2, more.join());
    }
  }));

Deno.test("qtalk call --bytes: stdin and stdout are one byte stream", () =>
  serving(async (address, router) => {
    router.handle("count", async (call, respond) => {
      await call.receive();
      const channel = await respond.continue();
      // It answers after the end of its input.
      const { length } = await new Response(channel.readable).bytes();
      await new Blob([`${length} bytes`]).stream().pipeTo(channel.writable);
      await channel.close();
    });
    const stdin = new Uint8Array(1_000_000);
    const args = [`${address}/count`, "--bytes"];
    assertEquals(await printed(args, { stdin }), "1000000 bytes");
    assertEquals(await printed(args), "0 bytes");
  }));

Deno.test("qtalk call --bytes: it ends when the other side closes", () =>
  serving(async (address, router) => {
    router.handle("greet", async (call, respond) => {
      await call.receive();
      const channel = await respond.continue();
      const writer = channel.writable.getWriter();
      await writer.write(new TextEncoder().encode("bye\n"));
      await channel.close();
    });
    await using running = startCli(["call", `${address}/greet`, "--bytes"], {
      stdin: "",
    });
    const { code, stdout } = await running.end();
    assertEquals([code, stdout], [0, "bye\n"]);
  }));

Deno.test("qtalk call --bytes: a response that does not continue exits with 4", () =>
  serving(async (address) => {
    const args = ["call", `${address}/Upper`, "hello", "--bytes"];
    const { code, stdout, stderr } = await cli(args);
    assertEquals([code, stdout], [4, ""]);
    assert(stderr.includes("its response does not continue"), stderr);
  }));

Deno.test("qtalk call: a closed stdout ends it with 0", async () => {
  for (const bytes of [false, true]) {
    await serving(async (address, router) => {
      const left = Promise.withResolvers<void>();
      router.handle("forever", async (call, respond) => {
        await call.receive();
        call.signal.addEventListener("abort", () => left.resolve());
        const channel = await respond.continue();
        const writer = channel.writable.getWriter();
        const line = new TextEncoder().encode("line\n");
        while (!call.signal.aborted) {
          await (bytes ? writer.write(line) : respond.send("line"))
            .catch(() => {});
        }
      });
      const args = ["call", `${address}/forever`];
      await using running = startCli(bytes ? [...args, "--bytes"] : args);
      await running.line(/line/);
      await running.dropOutput();
      const { code, stderr } = await running.end();
      assertEquals([code, stderr], [0, ""]);
      await within(left.promise, "the handler to see that its caller is gone");
    });
  }
});

Deno.test("qtalk call: an error response exits with 1", () =>
  serving(async (address, router) => {
    router.handle("breaks", async (_call, respond) => {
      await respond.return(new Error(""));
    });
    for (
      const [selector, text] of [
        ["boom", "remote: boom"],
        ["none/such", "remote: not found: /none/such"],
        ["breaks", "remote: Error"],
      ]
    ) {
      assertEquals(await cli(["call", `${address}/${selector}`]), {
        code: 1,
        stdout: "",
        stderr: `error: ${text}\n`,
      });
    }
  }));

Deno.test("qtalk call: a usage error exits with 2", async () => {
  const address = "tcp://127.0.0.1:1";
  for (
    const [text, ...args] of [
      ["there is no address"],
      ["there is no selector", address],
      ["there is no selector", "unix:/a/socket/Upper"],
      ["Unknown option '--zip'", `${address}/x`, "--zip"],
      ["--timeout", `${address}/x`, "--timeout"],
      ['"-1" is not a number above 0', `${address}/x`, "--timeout", "-1"],
      ["begins like JSON", `${address}/x`, "{a: 1}"],
      ["begins like JSON", `${address}/x`, "--value", "[1"],
      ["both --value and arguments", `${address}/x`, "1", "--value", "2"],
      ['codec "xml"', `${address}/x`, "--codec", "xml"],
      ['codec "json,cbor"', `${address}/x`, "--codec", "json,cbor"],
      ["its scheme is not one of", "smtp://127.0.0.1/x"],
      ["expected tcp://host:port", "tcp://127.0.0.1/x"],
    ] as const
  ) {
    const { code, stdout, stderr } = await cli(["call", ...args]);
    assertEquals([code, stdout], [2, ""], stderr);
    assert(stderr.startsWith("error: ") && stderr.includes(text), stderr);
  }
});

Deno.test("qtalk call: a refused or lost connection exits with 3", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `tcp://127.0.0.1:${listener.addr.port}`;
  const calling = cli(["call", `${address}/x`]);
  const conn = await within(listener.accept(), "the command to connect");
  await conn.read(new Uint8Array(1));
  conn.close();
  const lost = await calling;
  assertEquals([lost.code, lost.stdout], [3, ""]);
  assert(/^error: .*connection/i.test(lost.stderr), lost.stderr);
  listener.close();
  const refused = await cli(["call", "tcp://127.0.0.1:1/x"]);
  assertEquals([refused.code, refused.stdout], [3, ""]);
  const text = 'Cannot dial "tcp://127.0.0.1:1": ';
  assert(refused.stderr.includes(text), refused.stderr);
});

Deno.test("qtalk call: a timeout exits with 3", () =>
  serving(async (address, router) => {
    router.handle("sleep", async (call) => {
      await new Promise((wake) => call.signal.addEventListener("abort", wake));
    });
    const args = ["call", `${address}/sleep`, "--timeout", "2"];
    const { code, stderr } = await cli(args);
    assertEquals(code, 3);
    assert(stderr.includes("no response within 2000 ms"), stderr);
  }));

Deno.test("qtalk call: a response that cannot be printed exits with 4", () =>
  serving(async (address) => {
    const args = ["call", `${address}/nan`, "--codec", "cbor"];
    const { code, stdout, stderr } = await cli(args);
    assertEquals([code, stdout], [4, ""]);
    assert(stderr.includes("NaN"), stderr);
  }));

Deno.test("qtalk call: --codec takes precedence over QTALK_CODEC", () =>
  serving(async (address) => {
    const env = { QTALK_CODEC: "cbor" };
    const args = [`${address}/nan`];
    assertEquals((await cli(["call", ...args])).code, 1, "JSON has no NaN");
    assertEquals((await cli(["call", ...args], { env })).code, 4);
    const both = ["call", ...args, "--codec", "json"];
    assertEquals((await cli(both, { env })).code, 1);
  }));

Deno.test("qtalk call: it needs the permission for its address only", () =>
  serving(async (address) => {
    const permissions = ["--allow-net=127.0.0.1", "--no-prompt"];
    const args = [`${address}/Upper`, "hello"];
    assertEquals(await printed(args, { permissions }), '"HELLO"\n');
    const none = await cli(["call", ...args], { permissions: ["--no-prompt"] });
    assertEquals(none.code, 3);
    assert(none.stderr.includes("--allow-net"), none.stderr);
  }));

Deno.test("qtalk call: control characters of the other end are escaped", () =>
  serving(async (address, router) => {
    const text = "a\x1b[2J\nb\x9b\u202e";
    router.handle("text", (_call, respond) => respond.return(text));
    router.handle("fail", () => {
      throw new Error(text);
    });
    const escaped = "a\\u001b[2J\\nb\\u009b\\u202e";
    assertEquals(await printed([`${address}/text`]), `"${escaped}"\n`);
    // Another program gets what was sent.
    assertEquals(await printed([`${address}/text`, "--raw"]), `${text}\n`);
    const { code, stderr } = await cli(["call", `${address}/fail`]);
    assertEquals([code, stderr], [1, `error: remote: ${escaped}\n`]);
  }));

Deno.test("qtalk: the secrets of an address are not printed", async () => {
  const secret = "ws://me:SECRET@127.0.0.1:1/?token=SECRET";
  const lines: readonly (readonly string[])[] = [
    ["call", secret, "x"],
    ["call", secret],
    ["call", "ws://127.0.0.1:1/?token=SECRET", "x"],
    ["bench", secret],
    ["check", secret],
    ["interop", secret],
    ["proxy", "tcp://127.0.0.1:0", "me:SECRET@127.0.0.1:1"],
    ["proxy", secret, "tcp://127.0.0.1:1"],
    ["serve", "http://me:SECRET@127.0.0.1:1/x.ts?token=SECRET"],
    ["tunnel", "publish", "me:SECRET@80", secret],
    ["tunnel", "publish", "80", secret],
    [secret],
  ];
  for (const line of lines) {
    const { code, stdout, stderr } = await cli(line);
    assert(code > 0, stderr);
    assert(stderr !== "");
    // Deno itself says what it downloads.
    const ours = (stdout + stderr).replace(/^.*Download.*$/gm, "");
    assertEquals(ours.includes("SECRET"), false, stderr);
  }
});

Deno.test("qtalk call: arguments are checked by what the server says of the method", async () => {
  await using server = await serveDescribed();
  const { addr } = server;
  assertEquals(await printed([`${addr}/math.add`, "1", "2"]), "3\n");
  assertEquals(await printed([addr, "math.count", "2"]), "1\n2\n");
  const refused: [string[], string][] = [
    [[], "expected 2 arguments, got 0"],
    [["1", "two"], "argument 2: expected number, got string"],
    [["--value", '{"a":1}'], "expected an array of arguments, got object"],
  ];
  for (const [args, why] of refused) {
    const { code, stderr } = await cli(["call", addr, "math.add", ...args]);
    assertEquals(code, 2);
    const [line] = stderr.split("\n");
    assertEquals(
      line,
      `error: Cannot call "math.add": ${why} (math.add(number, number): number)`,
    );
  }
  const words = ["call", addr, "math.add", "1", "two", "--unchecked"];
  assertEquals((await cli(words)).stdout, '"1two"\n');
  // Functions without a contract accept what they accept.
  assertEquals(await printed([`${addr}/Upper`, "a", "b"]), '"A"\n');
});

Deno.test("qtalk call: servers that do not describe themselves are called as they are", async () => {
  const refuse = { error: "not found: /_qtalk/describe" };
  const odd = { value: { methods: [{ selector: "Upper", args: 5 }] } };
  for (const answer of [refuse, odd, undefined]) {
    await using server = await servePlain((selector, args) =>
      selector === "/_qtalk/describe" ? answer : { value: [selector, args] }
    );
    const words = [`${server.addr}/Upper`, "1"];
    assertEquals(await printed(words), '["/Upper",[1]]\n');
    assertEquals(server.selectors, ["/_qtalk/describe", "/Upper"]);
    await printed([...words, "--unchecked"]);
    assertEquals(server.selectors.length, 3);
  }
});
