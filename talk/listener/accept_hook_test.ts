import { dialSession, listenSession, MuxError, Peer } from "@qtalk/qtalk";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { turn, watch, within } from "../../tests/support/within.ts";
import { calls, listening } from "../../tests/support/listening.ts";

Deno.test("accept hook: a connection that it refuses is closed", async () => {
  const seen: string[] = [];
  const { source, listener } = listening({
    accept: ({ remoteAddr }) => {
      seen.push(remoteAddr);
      return remoteAddr === "test:friend";
    },
  });
  await using _ = listener;
  const refused = source.connect("test:stranger");
  await within(refused.closed, "the stranger's session to end");
  assertEquals(await calls(source.connect("test:friend")), "served");
  assertEquals(seen, ["test:stranger", "test:friend"]);
});

Deno.test("accept hook: remoteAddr has the form of the scheme", async () => {
  const seen: string[] = [];
  await using listener = await listenSession("tcp://127.0.0.1:0", {
    accept: ({ remoteAddr }) => {
      seen.push(remoteAddr);
      return false;
    },
  });
  const session = await dialSession(listener.addr);
  await within(session.closed, "the session to end");
  assert(/^tcp:\/\/127\.0\.0\.1:\d+$/.test(seen[0]!), seen[0]);
  await session.close();
});

Deno.test("accept hook: a hook that throws refuses the connection", async () => {
  for (
    const accept of [
      () => {
        throw new Error("no");
      },
      () => Promise.reject(new Error("no")),
    ]
  ) {
    const { source, listener } = listening({ accept });
    await using _ = listener;
    const refused = source.connect();
    await within(refused.closed, "the session to end");
    const error = await assertRejects(() => refused.open(), MuxError);
    assertEquals(error.code, "connection-lost");
  }
});

Deno.test("accept hook: a hook that does not return a boolean refuses the connection, which is reported", async () => {
  // What programs without types return by mistake.
  for (const result of [undefined, null, 1, "Ann", { user: "Ann" }]) {
    for (const returned of [result, Promise.resolve(result)]) {
      const errors: unknown[] = [];
      const { source, listener } = listening({
        accept: () => returned as unknown as boolean,
        onError: (error) => errors.push(error),
      });
      await using _ = listener;
      const refused = source.connect();
      await within(refused.closed, "the session to end");
      const [error] = errors;
      assertInstanceOf(error, TypeError);
      assertStringIncludes(
        error.message,
        'Cannot use what option "accept" returned: it is ',
      );
    }
  }
});

Deno.test("accept hook: other connections are accepted while it is pending", async () => {
  const verdict = Promise.withResolvers<boolean>();
  const { source, listener } = listening({
    accept: ({ remoteAddr }) =>
      remoteAddr === "test:doubtful" ? verdict.promise : true,
  });
  await using _ = listener;
  const doubtful = calls(source.connect("test:doubtful"));
  assertEquals(await calls(source.connect()), "served");
  const watched = watch(doubtful);
  await turn();
  assertEquals(watched.state, "pending");
  verdict.resolve(true);
  assertEquals(await doubtful, "served");
});

Deno.test("accept hook: listener.close() closes a connection that awaits its decision", async () => {
  const verdict = Promise.withResolvers<boolean>();
  const { source, listener } = listening({ accept: () => verdict.promise });
  const doubtful = source.connect();
  await turn();
  await within(listener.close(), "close()");
  await within(doubtful.closed, "the session to end");
  const peer = listener[Symbol.asyncIterator]().next();
  verdict.resolve(true);
  await turn();
  await listener.closed;
  assertEquals((await peer).done, true);
});

Deno.test("accept hook: the only connection of a source is served to its end", async () => {
  const { source, listener } = listening({
    accept: async () => {
      await turn();
      return true;
    },
  });
  const client = new Peer(source.connect());
  source.end();
  assertEquals(
    await within(client.call("echo", ["served"]), "the call"),
    "served",
  );
  const closed = watch(listener.closed);
  await turn();
  assertEquals(closed.state, "pending", "as long as the one is open");
  await client.close();
  await within(listener.closed, "closed");
});
