/**
 * What sessions, peers and listeners of a test still hold when its body has
 * ended.
 *
 * @module
 */
import type { Channel, Session, SessionUsage } from "../../../mux/mod.ts";
import { poolOf } from "../../../rpc/client/channel_pool.ts";
import {
  type Listener,
  Peer,
  type ReconnectingPeer,
} from "../../../talk/mod.ts";
import { ConnectionListener } from "../../../talk/listener/listener.ts";
import { Reconnector } from "../../../talk/reconnect/reconnector.ts";
import type { RawPeer } from "../raw_peer.ts";
import { turn } from "../turn.ts";
import { watch, type Watched, within } from "../within.ts";
import type { Leak, LeakKind, Leaves } from "./leak.ts";

/** What a test can have watched. */
export type Watchable =
  | Peer
  | Session
  | ReconnectingPeer
  | Listener<Peer>
  | Listener<Session>;

function isListener(
  item: Watchable,
): item is Listener<Peer> | Listener<Session> {
  return item instanceof ConnectionListener;
}

function isReconnecting(item: Watchable): item is ReconnectingPeer {
  return item instanceof Reconnector;
}

/** One end of a session. */
interface End {
  readonly name: string;
  readonly session: Session;
  readonly peer: Peer | undefined;
  /** The other end, if the test has both. */
  other: End | undefined;
  /** The other end, if it is a script. */
  readonly script: RawPeer | undefined;
  /** What became of the session so far. */
  readonly closed: Watched;
  /** The channels that the body was given. */
  readonly channels: Channel[];
}

/** Watches the sessions of one test. */
export class EndWatch {
  readonly #ends: End[] = [];
  readonly #others: { close(): Promise<void> }[] = [];
  readonly #accepting: Promise<void>[] = [];

  /** Watches items; two sessions or peers at once are the ends of one. */
  add(
    items: Watchable[],
    names: (string | undefined)[],
    script?: RawPeer,
  ): void {
    const ends = items.flatMap((item, i) => {
      const end = this.#add(item, names[i], script);
      return end === undefined ? [] : [end];
    });
    const [a, b] = ends;
    if (a === undefined || b === undefined) return;
    a.other = b;
    b.other = a;
  }

  #add(
    item: Watchable,
    name: string | undefined,
    script: RawPeer | undefined,
  ): End | undefined {
    if (isListener(item)) {
      this.#others.push(item);
      this.#accepting.push(this.#accept(item));
      return undefined;
    }
    if (isReconnecting(item)) {
      this.#others.push(item);
      return undefined;
    }
    const peer = item instanceof Peer ? item : undefined;
    const session = item instanceof Peer ? item.session : item;
    const kind = peer === undefined ? "session" : "peer";
    const end: End = {
      name: this.#nameOf(name ?? kind),
      session,
      peer,
      other: undefined,
      script,
      closed: watch(session.closed),
      channels: [],
    };
    if (peer === undefined) recordChannels(session, end.channels);
    this.#ends.push(end);
    return end;
  }

  /** The name, with a number if another end has it already. */
  #nameOf(name: string): string {
    const same = this.#ends.filter((end) => end.name.split(" #")[0] === name);
    return same.length === 0 ? name : `${name} #${same.length + 1}`;
  }

  async #accept(accepted: Listener<Peer> | Listener<Session>): Promise<void> {
    for await (const item of accepted) this.#add(item, "accepted", undefined);
  }

  /** Closes the channels that the body was given. */
  async closeChannels(): Promise<void> {
    const channels = this.#ends.flatMap(({ channels }) => channels);
    await Promise.all(channels.map((channel) => channel.close()));
  }

  /** Ends everything, and returns what was left. */
  async finish(turns: number, leaves: Leaves): Promise<Leak[]> {
    const leaks: Leak[] = [];
    // What is left on purpose does not go away; everything else may take a while.
    const patience = leaves.channels ?? leaves.callbacks ? 20 : turns;
    const open = this.#ends.filter(({ closed }) => closed.state === "pending");
    // A script need not close what it opens: it goes away with its test.
    const live = open.filter(({ script }) => script === undefined);
    const allowed = new Map(live.map((end) => [end, this.#sparesOf(end)]));
    const left = (end: End) => beyond(end.session.usage, allowed.get(end)!);
    for (let i = 0; i < patience; i++) {
      if (live.every((end) => left(end) === 0 && callbacksOf(end) === 0)) break;
      await turn();
      // Channels that are opened ahead of need come and go.
      for (const end of live) allowed.set(end, this.#sparesOf(end));
    }
    for (const end of live) {
      if (end.closed.state !== "pending") continue;
      report(
        leaks,
        "channels",
        left(end),
        (n, s) => `${n} channel${s} of "${end.name}" ${verb(n)} still open`,
      );
      report(
        leaks,
        "callbacks",
        callbacksOf(end),
        (n, s) =>
          `${n} callback${s} of "${end.name}" ${
            n === 1 ? "was" : "were"
          } not released`,
      );
    }
    await within(this.#close(open), "the sessions of the test to end");
    await this.closeChannels();
    for (const end of this.#ends) {
      const { closed, name, session } = end;
      if (open.includes(end) && closed.state === "rejected") {
        const text = `closed of "${name}" rejected: ${closed.reason}`;
        leaks.push({ kind: "rejections", text });
      }
      if (leaks.some(({ text }) => text.includes(`"${name}"`))) continue;
      for (let i = 0; i < 5 && session.usage.held.total > 0; i++) await turn();
      report(
        leaks,
        "channels",
        beyond(session.usage, 0),
        (n, s) =>
          `${n} channel${s} of "${name}" ${
            verb(n)
          } held after its session ended`,
      );
      report(
        leaks,
        "callbacks",
        callbacksOf(end),
        (n, s) =>
          `${n} callback${s} of "${name}" ${
            verb(n)
          } held after its session ended`,
      );
      if (beyond(session.usage, 0) > 0 || callbacksOf(end) > 0) continue;
      const held = heldBy(session);
      if (held !== undefined) {
        const text =
          `bytes of "${name}" are held after its session ended: ${held}`;
        leaks.push({ kind: "memory", text });
      }
    }
    return leaks;
  }

  async #close(open: End[]): Promise<void> {
    // A script says nothing by itself; its end is the end of the session.
    for (const { script } of this.#ends) await script?.close();
    await Promise.all(this.#ends.map(({ session }) => session.close()));
    for (const other of this.#others) await other.close();
    await Promise.all(this.#accepting);
    await Promise.all(this.#ends.map(({ session }) => session.close()));
    await Promise.allSettled(open.map(({ session }) => session.closed));
  }

  /** Channels opened ahead of need, by either end of the session. */
  #sparesOf(end: End): number {
    const others = end.other !== undefined
      ? [end.other]
      // Any of those whose other end the harness does not know.
      : this.#ends.filter((it) => it !== end && it.other === undefined);
    return [end, ...others].reduce(
      (sum, { peer }) => sum + (peer && poolOf(peer)?.unused || 0),
      0,
    );
  }
}

/** Channels beyond those that are allowed. */
function beyond({ channels, slots }: SessionUsage, allowed: number): number {
  return Math.max(0, Math.max(channels, slots) - allowed);
}

/** The bytes that the account counts, by kind; undefined if there are none. */
function heldBy({ usage: { held } }: Session): string | undefined {
  const kinds = Object.entries(held).filter(([, bytes]) => bytes !== 0);
  if (kinds.length === 0) return undefined;
  return kinds.map(([kind, bytes]) => `${bytes} (${kind})`).join(", ");
}

function callbacksOf({ peer }: End): number {
  return peer?.callbackCount ?? 0;
}

function report(
  leaks: Leak[],
  kind: LeakKind,
  n: number,
  text: (n: number, plural: string) => string,
): void {
  if (n > 0) leaks.push({ kind, text: text(n, n === 1 ? "" : "s") });
}

function verb(n: number): string {
  return n === 1 ? "is" : "are";
}

/** Keeps the channels that a program gets from a session. */
function recordChannels(session: Session, channels: Channel[]): void {
  const open = session.open;
  const accept = session.accept;
  const iterate = session[Symbol.asyncIterator];
  const keep = <C extends Channel>(channel: C): C => {
    channels.push(channel);
    return channel;
  };
  Object.assign(session, {
    open: (...args: Parameters<typeof open>) =>
      open.apply(session, args).then(keep),
    accept: (handler: (channel: Channel) => void) =>
      accept.call(session, (channel) => handler(keep(channel))),
    [Symbol.asyncIterator]: () => {
      const inner = iterate.call(session);
      return {
        next: async () => {
          const result = await inner.next();
          if (!result.done) keep(result.value);
          return result;
        },
        return: () => inner.return!(),
      };
    },
  });
}
