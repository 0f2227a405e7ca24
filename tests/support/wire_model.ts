/**
 * The rules of the wire, watched from outside: what any two sessions say to
 * each other must fit them, whoever sends what.
 *
 * @module
 */
import type { Transport } from "../../mux/types.ts";
import type { Random } from "./random.ts";
import { type Frame, FrameCollector } from "./wire.ts";

/** One of the two ends. */
export type Side = "a" | "b";

function other(side: Side): Side {
  return side === "a" ? "b" : "a";
}

/** What one end has said on a channel. */
export interface Said {
  /** Bytes of payload. */
  readonly bytes: number;
  /** Whether it sent EOF. */
  readonly ended: boolean;
  /** Whether it sent CLOSE. */
  readonly closed: boolean;
}

/** What one end has said on a channel, and what it still may. */
interface Direction extends Said {
  bytes: number;
  credit: number;
  /** The credit that it began with. */
  initialCredit: number;
  maxPacketSize: number;
  ended: boolean;
  closed: boolean;
}

/** A channel as the wire knows it; each end speaks in a direction. */
interface WireChannel {
  state: "asked" | "open" | "refused";
  /** What `a` says, and what `b` says. */
  a: Direction;
  b: Direction;
}

/** Watches both directions of a session and throws when a rule is broken. */
export class WireModel {
  /** Channels by the number that each end gave them. */
  readonly #named = {
    a: new Map<number, WireChannel>(),
    b: new Map<number, WireChannel>(),
  };
  readonly #collectors: Record<Side, FrameCollector>;
  /** Frames seen. */
  frames = 0;

  /** Makes a model that has seen nothing. */
  constructor() {
    this.#collectors = {
      a: new FrameCollector((frame) => this.#saw("a", frame)),
      b: new FrameCollector((frame) => this.#saw("b", frame)),
    };
  }

  /** A transport of `side` whose words the model hears before the other end. */
  tap(side: Side, inner: Transport): Transport {
    return {
      read: () => inner.read(),
      write: (bytes) => {
        this.#collectors[side].push(bytes);
        return inner.write(bytes);
      },
      closeWrite: () => inner.closeWrite(),
      close: () => inner.close(),
    };
  }

  /** Bytes that the other end may still send on the channel `side` calls `id`. */
  granted(side: Side, id: number): number {
    return this.#find(side, id)[other(side)].credit;
  }

  /** The window that `side` granted when the channel it calls `id` was opened. */
  initialWindow(side: Side, id: number): number {
    return this.#find(side, id)[other(side)].initialCredit;
  }

  /** What `side` has said on the channel that it calls `id`. */
  said(side: Side, id: number): Said {
    return this.#find(side, id)[side];
  }

  /** What the other end has said on the channel that `side` calls `id`. */
  heard(side: Side, id: number): Said {
    return this.#find(side, id)[other(side)];
  }

  /** Channels that one end has closed and the other has not. */
  get halfClosed(): number {
    return [...this.#named.a.values()]
      .filter(({ a, b }) => a.closed !== b.closed).length;
  }

  #find(side: Side, id: number): WireChannel {
    const channel = this.#named[side].get(id);
    if (channel === undefined) throw new Error(`${side} never named ${id}`);
    return channel;
  }

  #saw(from: Side, frame: Frame): void {
    this.frames++;
    const to = other(from);
    const check = (rule: string, holds: boolean) => {
      if (!holds) {
        throw new Error(`${from} broke a rule with ${frame.type}: ${rule}`);
      }
    };
    if (frame.type === "open") {
      check("a number names one channel", !this.#named[from].has(frame.sender));
      const direction = {
        bytes: 0,
        credit: 0,
        initialCredit: 0,
        maxPacketSize: 0,
        ended: false,
        closed: false,
      };
      const channel: WireChannel = {
        state: "asked",
        a: { ...direction },
        b: { ...direction },
      };
      channel[to].credit = channel[to].initialCredit = frame.window;
      channel[to].maxPacketSize = frame.maxPacketSize;
      this.#named[from].set(frame.sender, channel);
      return;
    }
    const channel = this.#find(to, frame.recipient);
    if (frame.type === "open-confirm" || frame.type === "open-failure") {
      check("one answer to an OPEN", channel.state === "asked");
      if (frame.type === "open-failure") {
        channel.state = "refused";
        return;
      }
      check("a number names one channel", !this.#named[from].has(frame.sender));
      channel.state = "open";
      channel[to].credit = channel[to].initialCredit = frame.window;
      channel[to].maxPacketSize = frame.maxPacketSize;
      this.#named[from].set(frame.sender, channel);
      return;
    }
    const said = channel[from];
    check("nothing before CONFIRM", channel.state === "open");
    check("nothing behind CLOSE", !said.closed);
    switch (frame.type) {
      case "data":
        check("no DATA behind EOF", !said.ended);
        check("DATA within the window", frame.payload.length <= said.credit);
        check("DATA in packets", frame.payload.length <= said.maxPacketSize);
        said.credit -= frame.payload.length;
        said.bytes += frame.payload.length;
        break;
      case "window-adjust":
        check("credit for something", frame.bytes > 0);
        channel[to].credit += frame.bytes;
        check("a window of 2^32 - 1", channel[to].credit < 2 ** 32);
        break;
      case "eof":
        check("one EOF", !said.ended);
        said.ended = true;
        break;
      case "close":
        said.closed = true;
    }
  }
}

/** A transport that gives what it reads in pieces, some of them late. */
export function chopped(inner: Transport, random: Random): Transport {
  const max = random.pick([1, 5, 60, 3_000, 100_000]);
  let rest: Uint8Array = new Uint8Array(0);
  return {
    async read() {
      if (rest.length === 0) {
        const chunk = await inner.read();
        if (chunk === null) return null;
        rest = chunk;
      }
      if (random.chance(0.002)) await new Promise((r) => setTimeout(r, 0));
      const size = random.int(1, Math.min(max, rest.length));
      const piece = rest.slice(0, size);
      rest = rest.subarray(size);
      return piece;
    },
    write: (bytes) => inner.write(bytes),
    closeWrite: () => inner.closeWrite(),
    close: () => inner.close(),
  };
}
