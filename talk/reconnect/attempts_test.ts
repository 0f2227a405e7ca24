import {
  dial,
  handlerFrom,
  listen,
  MuxError,
  type ReconnectingDialOptions,
  TalkError,
} from "@qtalk/qtalk";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import { turn, within } from "../../tests/support/within.ts";

/** The address of a Unix socket that does not exist yet. */
async function socketPath() {
  const folder = await Deno.makeTempDir({ prefix: "qtalk" });
  return {
    address: `unix:${folder}/socket`,
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

/** Deno has no Unix sockets on Windows. */
const testUnix: (name: string, fn: () => Promise<void>) => void =
  Deno.build.os === "windows" ? Deno.test.ignore : Deno.test;

testUnix(
  "dial() with reconnect: it resolves at the first connection",
  async () => {
    await using path = await socketPath();
    const failed = Promise.withResolvers<void>();
    const dialing = dial(path.address, {
      reconnect: {
        minDelay: 1,
        maxDelay: 10,
        onState: (state) => state.name === "waiting" && failed.resolve(),
      },
      handler: handlerFrom({ name: () => "Ann" }),
    });
    await failed.promise;
    await using listener = await listen(path.address, {
      handler: async (call, respond) =>
        respond.return(await call.caller.call("name")),
    });
    await using peer = await within(dialing, "the connection");
    assertEquals(peer.state.name, "connected");
    assertEquals(await peer.call("who"), "Ann");
    assertEquals(listener.addr, path.address);
  },
);

Deno.test("dial() with reconnect: an abort rejects with the signal's reason", async () => {
  await using path = await socketPath();
  const controller = new AbortController();
  const { signal } = controller;
  const dialing = dial(path.address, {
    signal,
    reconnect: {
      onState: ({ name }) => name === "waiting" && controller.abort("enough"),
    },
  });
  assertEquals(await dialing.catch((reason) => reason), "enough");
  assertEquals(
    await dial(path.address, { signal, reconnect: {} })
      .catch((reason) => reason),
    "enough",
  );
});

Deno.test("dial() with reconnect: a permanent error rejects at once", async () => {
  const bad = await assertRejects(
    () => dial("tcp://nowhere", { reconnect: {} }),
    TalkError,
  );
  assertEquals(bad.code, "bad-address");
  const wrong: Omit<ReconnectingDialOptions, "reconnect">[] = [
    { timeout: -1 },
    { maxCallbacks: -1 },
    { session: { backlog: -1 } },
  ];
  for (const options of wrong) {
    await assertRejects(
      () => dial("tcp://127.0.0.1:1", { ...options, reconnect: {} }),
      RangeError,
      "Cannot use option",
    );
  }
  await assertRejects(
    () => dial("tcp://127.0.0.1:1", { reconnect: { jitter: 2 } }),
    RangeError,
    '"jitter"',
  );
});

/** Answers each HTTP request with a status, until there are no more. */
function statusServer(statuses: number[]) {
  let requests = 0;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => {
      requests++;
      return new Response(null, { status: statuses.shift()! });
    },
  );
  return {
    address: `ws://127.0.0.1:${server.addr.port}/?token=SECRET`,
    get requests() {
      return requests;
    },
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Reconnects without delay, and returns what was reported before it gave up. */
async function untilItGivesUp(
  address: string,
  options: Partial<ReconnectingDialOptions> = {},
): Promise<{ error: TalkError; reported: string[] }> {
  const reported: string[] = [];
  const error = await assertRejects(
    () =>
      within(
        dial(address, {
          ...options,
          reconnect: {
            minDelay: 0,
            maxDelay: 0,
            onState(state) {
              if (state.name === "waiting") {
                reported.push((state.error as Error).message);
              }
            },
          },
        }),
        "dial() to give up",
      ),
    TalkError,
  );
  return { error, reported };
}

Deno.test("dial() with reconnect: a server that refuses is not asked again", async () => {
  for (
    const status of [200, 301, 302, 400, 401, 403, 404, 405, 407, 410, 426, 501]
  ) {
    await using server = statusServer([status]);
    const { error, reported } = await untilItGivesUp(server.address);
    assertEquals([error.code, error.permanent], ["dial-failed", true]);
    assert(
      error.message.includes(`the server answered ${status}`),
      error.message,
    );
    assert(!Deno.inspect(error).includes("SECRET"), Deno.inspect(error));
    assertEquals([reported, server.requests], [[], 1]);
  }
});

Deno.test("dial() with reconnect: a server that is busy or broken is asked again, and each time is reported", async () => {
  const temporary = [500, 502, 503, 504, 429, 408, 425];
  await using server = statusServer([...temporary, 401]);
  const { error, reported } = await untilItGivesUp(server.address);
  assert(error.message.includes("401"), error.message);
  assertEquals(server.requests, temporary.length + 1);
  assertEquals(
    reported.map((text) => Number(/answered (\d+)/.exec(text)![1])),
    temporary,
  );
});

Deno.test("dial() with reconnect: an address or a request that cannot work is not tried again", async () => {
  const addresses: [string, Partial<ReconnectingDialOptions>?][] = [
    ["nothing"],
    ["smtp://localhost:25"],
    ["tcp://localhost"],
    ["ws://user:SECRET@localhost/"],
    ["stdio:file"],
    ["ws://127.0.0.1:1/", { headers: { upgrade: "x" } }],
    ["ws://127.0.0.1:1/", { headers: { "a b": "SECRET" } }],
  ];
  if (Deno.build.os !== "windows") {
    addresses.push([`unix:/${"x".repeat(200)}`]);
  }
  await using listener = await listen("ws://127.0.0.1:0/");
  for (const [address, options] of addresses) {
    const { error, reported } = await untilItGivesUp(
      address.replace("ws://127.0.0.1:1/", listener.addr),
      options,
    );
    assertEquals([error.permanent, reported], [true, []], address);
  }
});

Deno.test("dial() with reconnect: a certificate that is not valid is not tried again", async () => {
  const file = (name: string) =>
    Deno.readTextFileSync(
      new URL(`../../tests/support/tls/${name}`, import.meta.url),
    );
  await using server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen() {},
    cert: file("cert.pem"),
    key: file("key.pem"),
  }, () => new Response());
  // An authority that is not known, and a name that the certificate has not.
  const { error, reported } = await untilItGivesUp(
    `wss://127.0.0.1:${server.addr.port}/?token=SECRET`,
  );
  assertEquals([error.code, error.permanent], ["dial-failed", true]);
  assert(error.message.includes("certificate"), error.message);
  assertEquals(reported, []);
});

Deno.test("dial() with reconnect: a missing permission is not waited for", async () => {
  const library = import.meta.resolve("../../mod.ts");
  const program = `
    import { dial } from ${JSON.stringify(library)};
    for (const address of ["tcp://127.0.0.1:1", "unix:none", "ws://127.0.0.1:1/?SECRET"]) {
      await dial(address, { reconnect: {} }).catch((error) => console.log(
        error.code, error.permanent, error.message.includes("Requires"),
        Deno.inspect(error).includes("SECRET"),
      ));
    }`;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, program);
    // The program and the library may be read without a permission.
    const { stdout } = await within(
      new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-prompt", "--quiet", file],
        stdin: "null",
        stdout: "piped",
      }).output(),
      "the child to give up",
    );
    assertEquals(
      new TextDecoder().decode(stdout),
      "dial-failed true true false\n".repeat(3),
    );
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("dial() with reconnect: each attempt asks for address, headers and protocols", async () => {
  const asked: string[] = [];
  const listeners = [
    await listen("ws://127.0.0.1:0/first"),
    await listen("ws://127.0.0.1:0/second", {
      handler: handlerFrom({ echo: (value: unknown) => value }),
    }),
  ];
  let attempt = 0;
  const states: string[] = [];
  await using peer = await dial(
    async () => {
      asked.push(`address ${++attempt}`);
      await turn();
      if (attempt === 2) throw new Error("no address");
      return listeners[attempt === 1 ? 0 : 1]!.addr;
    },
    {
      headers: () => {
        asked.push(`headers ${attempt}`);
        return { authorization: `token ${attempt}` };
      },
      protocols() {
        asked.push(`protocols ${attempt}`);
        return Promise.resolve([]);
      },
      reconnect: {
        minDelay: 0,
        onState: (state) => {
          states.push(
            state.name === "waiting"
              ? (state.error as Error).message
              : state.name,
          );
        },
      },
    },
  );
  await listeners[0]!.close();
  assertEquals(await within(peer.call("echo", [1]), "the call"), 1);
  assertEquals(asked, [
    "address 1",
    "headers 1",
    "protocols 1",
    "address 2",
    "address 3",
    "headers 3",
    "protocols 3",
  ]);
  assertEquals(states.filter((name) => name !== "connecting"), [
    "connected",
    "Connection is lost: the peer closed the session",
    "no address",
    "connected",
  ]);
  await peer.close();
  await listeners[1]!.close();
});

Deno.test("dial() with reconnect: stdin and stdout are connected to once", async () => {
  const library = import.meta.resolve("../../mod.ts");
  const program = `
    import { dial } from ${JSON.stringify(library)};
    const peer = await dial("stdio:", { reconnect: { minDelay: 0 } });
    const error = await peer.closed.catch((error) => error);
    console.error(error.code, error.permanent);`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", program],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await child.stdin.close();
  await child.stdout.cancel();
  assertEquals(
    await within(new Response(child.stderr).text(), "the child to give up"),
    "dial-failed true\n",
  );
  await child.status;
});

for (const [code, isLasting] of [[3003, true], [3000, true], [4000, false]]) {
  const what = isLasting ? "not dialed again" : "dialed again";
  Deno.test(`dial() with reconnect: a server that closes new WebSockets with ${code} is ${what}`, async () => {
    let connections = 0;
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) => {
        const { socket, response } = Deno.upgradeWebSocket(request);
        connections++;
        socket.onopen = () => socket.close(code as number);
        return response;
      },
    );
    const reported = Promise.withResolvers<void>();
    const peer = await dial(`ws://127.0.0.1:${server.addr.port}`, {
      reconnect: {
        minDelay: 0,
        onState: ({ name }) => name === "waiting" && reported.resolve(),
      },
    });
    const closed = peer.closed.catch((error) => error);
    if (isLasting) {
      assertInstanceOf(await within(closed, "giving up"), MuxError);
      assertEquals(connections, 1);
    } else await within(reported.promise, "the next attempt");
    await peer.close();
    await server.shutdown();
  });
}
