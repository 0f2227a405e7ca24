import {
  handlerFrom,
  Peer,
  qmux,
  type Session,
  type TalkError,
} from "@qtalk/qtalk";
import { assert, assertEquals } from "@std/assert";
import { turn, watch, within } from "../../tests/support/within.ts";
import { ConnectionListener } from "./listener.ts";
import type { ListenerOptions } from "./types.ts";
import { calls, listening, Source } from "../../tests/support/listening.ts";

Deno.test("listener iterator: it starts with the next accepted peer", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  await calls(source.connect());
  const iterator = listener[Symbol.asyncIterator]();
  const client = new Peer(source.connect(), {
    handler: handlerFrom(() => "the second"),
  });
  const { value } = await within(iterator.next(), "a peer");
  assertEquals(await value!.call(""), "the second");
  await client.close();
});

Deno.test("listener iterator: each iterator gets every peer", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  const one = listener[Symbol.asyncIterator]();
  const other = listener[Symbol.asyncIterator]();
  const waiting = one.next();
  await calls(source.connect());
  assert((await waiting).value === (await other.next()).value);
});

Deno.test("listener iterator: break does not affect the listener", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  const clients = [source.connect(), source.connect()];
  const served = clients.map(calls);
  for await (const peer of listener) {
    assert(peer instanceof Peer);
    break;
  }
  assertEquals(await Promise.all(served), ["served", "served"]);
  assertEquals(await calls(source.connect()), "served", "it accepts on");
  const again = listener[Symbol.asyncIterator]().next();
  await calls(source.connect());
  assert((await again).value instanceof Peer, "and can be iterated again");
});

Deno.test("listener iterator: it keeps 128 peers and skips further ones", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  const iterator = listener[Symbol.asyncIterator]();
  for (let i = 0; i < 130; i++) await calls(source.connect());
  const next = async () => (await iterator.next()).value;
  const kept = new Set<unknown>();
  for (let i = 0; i < 128; i++) kept.add(await next());
  assertEquals(kept.size, 128);
  const later = next();
  const watched = watch(later);
  await turn();
  assertEquals(watched.state, "pending");
  await calls(source.connect());
  assert(!kept.has(await later));
});

Deno.test("listener.skipped: it counts the peers that iterators skip, which are still served", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  const slow = listener[Symbol.asyncIterator]();
  const quick = listener[Symbol.asyncIterator]();
  const clients: Session[] = [];
  for (let i = 0; i < 131; i++) {
    const next = quick.next();
    clients.push(source.connect());
    await next;
  }
  assertEquals(listener.skipped, 3);
  for (const client of clients.slice(-3)) {
    assertEquals(await calls(client), "served");
  }
  await slow.return();
  assertEquals(listener.skipped, 3);
});

/** A listener for sessions, which are of no use without a loop. */
function sessionsListening(options: ListenerOptions = {}) {
  const source = new Source();
  const listener = new ConnectionListener<Session>(
    source,
    (transport) => qmux(transport, { closeTimeout: 1 }),
    options,
    undefined,
    { needsLoop: true },
  );
  return { source, listener };
}

/** Whether a channel of the session is accepted, by what the loop gives. */
async function isAccepted(client: Session, given: Session): Promise<boolean> {
  const accepted = Promise.withResolvers<boolean>();
  given.accept(() => accepted.resolve(true));
  await client.open();
  return await within(accepted.promise, "the channel");
}

Deno.test("listenSession(): a session without a loop waits for one", async () => {
  const { source, listener } = sessionsListening();
  await using _ = listener;
  const clients = [source.connect(), source.connect()];
  await turn();
  const loop = listener[Symbol.asyncIterator]();
  for (const client of clients) {
    const { value } = await within(loop.next(), "a session");
    assert(await isAccepted(client, value!));
  }
  assertEquals(listener.skipped, 0);
});

Deno.test("listenSession(): what a loop has not reached when it is left waits for the next loop", async () => {
  const { source, listener } = sessionsListening();
  await using _ = listener;
  const first = listener[Symbol.asyncIterator]();
  const other = listener[Symbol.asyncIterator]();
  const clients = [source.connect(), source.connect(), source.connect()];
  await turn();
  await within(first.next(), "the first session");
  await within(other.next(), "the same one");
  const shared = await within(other.next(), "the second session");
  await other.return();
  await first.return();
  const next = listener[Symbol.asyncIterator]();
  // The first two have been given to a loop already.
  const { value } = await within(next.next(), "the third session");
  assert(value !== shared.value);
  assert(await isAccepted(clients[2]!, value!));
});

Deno.test("listenSession(): a session that ends while it waits is forgotten", async () => {
  const { source, listener } = sessionsListening();
  await using _ = listener;
  await source.connect().close();
  await turn();
  const client = source.connect();
  await turn();
  const loop = listener[Symbol.asyncIterator]();
  const { value } = await within(loop.next(), "a session");
  assert(await isAccepted(client, value!));
});

/** Connects two clients more than can wait for a loop. */
async function assertTwoAreClosed(looping: boolean): Promise<void> {
  const errors: unknown[] = [];
  const { source, listener } = sessionsListening({
    onError: (error) => errors.push(error),
  });
  await using _ = listener;
  const slow = looping ? listener[Symbol.asyncIterator]() : undefined;
  const clients = Array.from({ length: 130 }, () => source.connect());
  for (const client of clients.slice(128)) {
    await within(client.closed, "a session that no loop takes");
  }
  assertEquals(listener.skipped, 2);
  assertEquals(
    errors.map((error) => (error as TalkError).code),
    ["limit-exceeded", "limit-exceeded"],
  );
  const loop = slow ?? listener[Symbol.asyncIterator]();
  for (const client of clients.slice(0, 128)) {
    const { value } = await within(loop.next(), "a session");
    assert(await isAccepted(client, value!));
  }
}

Deno.test("listenSession(): beyond 128 sessions that a loop has not reached, further ones are closed, counted and reported", async () => {
  await assertTwoAreClosed(true);
});

Deno.test("listenSession(): beyond 128 sessions that no loop has taken, further ones are closed, counted and reported", async () => {
  await assertTwoAreClosed(false);
});

Deno.test("listenSession(): a session that one of two loops gets stays open", async () => {
  const { source, listener } = sessionsListening();
  await using _ = listener;
  const slow = listener[Symbol.asyncIterator]();
  const quick = listener[Symbol.asyncIterator]();
  const clients: Session[] = [];
  let last: Session | undefined;
  for (let i = 0; i < 129; i++) {
    const next = quick.next();
    clients.push(source.connect());
    last = (await next).value;
  }
  assertEquals(listener.skipped, 1);
  assert(await isAccepted(clients.at(-1)!, last!));
  await slow.return();
  assert(clients.every((client) => watch(client.closed).state === "pending"));
});

Deno.test("listener iterator: concurrent next() calls get different peers", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  const iterator = listener[Symbol.asyncIterator]();
  const nexts = [iterator.next(), iterator.next()];
  await calls(source.connect());
  await calls(source.connect());
  const [first, second] = await within(Promise.all(nexts), "both");
  assert(first!.value instanceof Peer && second!.value instanceof Peer);
  assert(first!.value !== second!.value);
});

Deno.test("listener iterator: return() ends a pending next()", async () => {
  const { listener } = listening();
  await using _ = listener;
  const iterator = listener[Symbol.asyncIterator]();
  const next = iterator.next();
  await iterator.return?.();
  assertEquals(await within(next, "next()"), { done: true, value: undefined });
  assertEquals((await within(iterator.next(), "next()")).done, true);
});

Deno.test("listener iterator: next() rejects when its signal aborts, and takes no peer", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  const iterator = listener[Symbol.asyncIterator]();
  const controller = new AbortController();
  const { signal } = controller;
  const given = iterator.next({ signal }).catch((reason) => reason);
  const kept = iterator.next();
  controller.abort("enough");
  assertEquals(await within(given, "next()"), "enough");
  assertEquals(await iterator.next({ signal }).catch((r) => r), "enough");
  await calls(source.connect());
  assert((await within(kept, "a peer")).value instanceof Peer);
});

Deno.test("listener iterator: next() with a signal gets a peer and forgets the signal", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  const iterator = listener[Symbol.asyncIterator]();
  const controller = new AbortController();
  const next = iterator.next({ signal: controller.signal });
  await calls(source.connect());
  assert((await within(next, "a peer")).value instanceof Peer);
  controller.abort();
  await calls(source.connect());
  assert((await within(iterator.next(), "a peer")).value instanceof Peer);
});

Deno.test("listener iterator: close() ends it after its queue", async () => {
  const { source, listener } = listening();
  const waiting = listener[Symbol.asyncIterator]();
  const queued = listener[Symbol.asyncIterator]();
  await calls(source.connect());
  await waiting.next();
  const end = waiting.next();
  await listener.close();
  assertEquals((await within(end, "next()")).done, true);
  assertEquals((await queued.next()).done, false);
  assertEquals((await queued.next()).done, true);
  for await (const _ of listener) {
    assert(false, "a closed listener gives no peers");
  }
});
