import {
  CallError,
  dial,
  handlerFrom,
  listen,
  type Peer,
  type RemoteError,
  Router,
  type TalkError,
} from "@qtalk/qtalk";
import {
  type RendezvousError,
  rendezvousService,
} from "@qtalk/qtalk/rendezvous";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import { assertEquals, assertMatch } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { until } from "../../tests/support/within.ts";
import { SELECTORS } from "./wire.ts";
import {
  ann,
  authority,
  bob,
  call,
  cert,
  key,
  mallory,
  meet,
  refused,
  serve,
  trust,
} from "../../tests/support/rendezvous.ts";

test("peer: a stranger cannot register a name that is held, nor be taken for its owner", async (t) => {
  const rendezvous = await meet(t);
  const address = await serve(t, rendezvous);
  await refused(serve(t, rendezvous, mallory), "name-taken");
  assertEquals(await t.watch(await call(address)).call("add", [1, 2]), 3);
});

test("peer: the same key takes its name over, and a name is free when its peer has left", async (t) => {
  const service = rendezvousService();
  const rendezvous = await meet(t, service);
  await serve(t, rendezvous);
  const listener = await listen(`peer:bob@${rendezvous}`, {
    tls: bob,
    rendezvous: trust,
    handler: handlerFrom({ second: () => true }),
  });
  assertEquals(service.stats.names, 1);
  const peer = t.watch(await call(listener.addr));
  assertEquals(await peer.call("second"), true);
  await peer.close();
  await listener.close();
});

test("peer: a registration cannot be passed on to another rendezvous", async (t) => {
  // Bob registers at Mallory's rendezvous, which passes everything on to another.
  const target = rendezvousService();
  const far = t.watch(
    await dial(await meet(t, target), { tls: { ca: authority.cert } }),
  );
  const seen = Promise.withResolvers<unknown>();
  const router = new Router();
  router.handle(
    SELECTORS.challenge,
    async (_, respond) => respond.return(await far.call(SELECTORS.challenge)),
  );
  router.handle(SELECTORS.register, async (call, respond) => {
    const [request] = await call.receive() as [{ rendezvous: string }];
    seen.resolve(request.rendezvous);
    try {
      await far.request(SELECTORS.register, [request]);
      await respond.continue();
    } catch (error) {
      const { text, code } = error as RemoteError;
      await respond.return(new CallError(text, { code: code! }));
    }
  });
  const away = await listen("quic://127.0.0.1:0", {
    tls: mallory,
    handler: router,
  });
  t.defer(() => away.close());
  const rendezvous = { tls: { pin: mallory.fingerprint } };
  const { message } = await refused(
    serve(t, away.addr, bob, { rendezvous }),
    "bad-proof",
  );
  assertMatch(message, /is for another rendezvous/);
  assertEquals(await seen.promise, mallory.fingerprint);
  assertEquals(target.stats.names, 0);
});

test("peer: it registers again when its session with the rendezvous was lost", async (t) => {
  const sessions: Peer[] = [];
  const listener = await listen("quic://127.0.0.1:0", {
    tls: { cert, key },
    handler: rendezvousService(),
    onPeer: (peer) => void sessions.push(peer),
  });
  t.defer(() => listener.close());
  const address = await serve(t, listener.addr);
  await sessions[0]!.close();
  // Retried until the name is there again.
  const peer = await dial(address, {
    tls: { cert: ann.cert, key: ann.key },
    rendezvous: trust,
    reconnect: { minDelay: 10, maxDelay: 50 },
  });
  assertEquals(await peer.call("add", [1, 2]), 3);
  assertEquals((await peer.connected()).way, "direct");
  await peer.close();
});

test("peer: a listener learns once why its name is refused, and has it again when that has ended", async (t) => {
  const service = rendezvousService();
  let refusal: string | undefined;
  let attempts = 0;
  const router = new Router();
  router.handle("/", service);
  router.handle(SELECTORS.register, (call, respond) => {
    attempts++;
    return refusal === undefined
      ? service.respond(call, respond)
      : respond.return(new CallError("not now", { code: refusal }));
  });
  const sessions: Peer[] = [];
  const listener = await listen("quic://127.0.0.1:0", {
    tls: { cert, key },
    handler: router,
    onPeer: (peer) => void sessions.push(peer),
    onError() {},
  });
  t.defer(() => listener.close());
  const errors: TalkError[] = [];
  const address = await serve(t, listener.addr, bob, {
    onError: (error) => errors.push(error as TalkError),
  });
  const reported = () =>
    errors.map(({ code, cause, permanent }) => [
      code,
      (cause as RendezvousError).code,
      permanent,
    ]);
  refusal = "name-taken";
  await sessions[0]!.close();
  await until(() => attempts >= 3);
  const taken = ["listen-failed", "name-taken", false];
  assertEquals(reported(), [taken]);
  // Another reason is reported as well.
  refusal = "limit-exceeded";
  await until(() => errors.length === 2);
  assertEquals(reported()[1], ["listen-failed", "limit-exceeded", false]);
  refusal = undefined;
  await until(() => service.stats.names === 1);
  const peer = t.watch(await call(address));
  assertEquals(await peer.call("add", [1, 2]), 3);
  // It is news when the name is lost again.
  refusal = "name-taken";
  await peer.close();
  await Promise.all(sessions.map((session) => session.close()));
  await until(() => errors.length === 3);
  assertEquals(reported()[2], taken);
});

test("peer: a listener goes on trying when its rendezvous refuses the connection", async (t) => {
  const service = rendezvousService();
  let isAllowed = true;
  let refusals = 0;
  const sessions: Peer[] = [];
  const site = serveWebSocket({
    handler: service,
    onPeer: (peer) => void sessions.push(peer),
    authenticate: () => {
      if (!isAllowed) refusals++;
      return isAllowed;
    },
  });
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    site,
  );
  t.defer(async () => {
    await site.listener.close();
    await server.shutdown();
  });
  const errors: TalkError[] = [];
  await serve(t, `ws://127.0.0.1:${server.addr.port}`, bob, {
    rendezvous: {},
    onError: (error) => errors.push(error as TalkError),
  });
  isAllowed = false;
  await sessions[0]!.close();
  // Dialing gives up after such an error, which is permanent.
  await until(() => refusals >= 3);
  assertEquals(errors.length, 1);
  const [{ code, cause }] = errors as [TalkError];
  assertEquals([code, (cause as TalkError).permanent], ["listen-failed", true]);
  isAllowed = true;
  await until(() => service.stats.names === 1);
});
