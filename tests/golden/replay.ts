/**
 * Replays a recording: says what one side of it said, in its order, and waits
 * where that side had something to wait for.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { Transport } from "@qtalk/qtalk";
import type { Chunking } from "./capture.ts";
import { ReplayClock } from "./clock.ts";
import type { Leg, Line } from "./leg.ts";
import { type Entry, other } from "./recordings.ts";

/** Bytes below which a window is one that was lowered. */
const TIGHT = 128 * 1024;

/** An entry, and the session that it belongs to. */
interface Step {
  leg: Leg;
  entry: Entry;
}

/** A frame of the recorded side. */
type FrameEntry = Entry & { outcome?: undefined };

/** One replay: the events that it waits for, and the outcomes on our side. */
export class Replay {
  /** The time of the programs; it passes when nothing else happens. */
  readonly clock = new ReplayClock();
  /** What the programs of our side got. */
  readonly outcomes: string[] = [];
  /** What our side did not do where the recorded one waited for it. */
  readonly missed = new Set<string>();
  readonly #chunking: Chunking;
  /** What happened so far, on either side. */
  #events = 0;
  /** Writes that the other end has not read yet. */
  #writing = 0;
  #wake: (() => void) | undefined;

  /** Makes a replay that cuts what it sends by `chunking`. */
  constructor(chunking: Chunking) {
    this.#chunking = chunking;
    this.clock.onSleep = () => this.note();
  }

  /** Something happened. */
  note(): void {
    this.#events++;
    this.#wake?.();
  }

  /** A write is under way until `written` settles. */
  async write(written: Promise<void>): Promise<void> {
    this.#writing++;
    try {
      await written;
    } finally {
      this.#writing--;
      this.note();
    }
  }

  /** Our end of the byte stream, so that writes on it are seen. */
  watch(transport: Transport): Transport {
    return {
      ...transport,
      write: (bytes) => this.write(transport.write(bytes)),
    };
  }

  /** A program of our side got something. */
  outcome(text: string): void {
    this.outcomes.push(text);
    this.note();
  }

  /**
   * Waits until `condition` holds. Time passes meanwhile if nothing else
   * happens; false if nothing can happen any more.
   */
  async until(condition: () => boolean): Promise<boolean> {
    while (!condition()) {
      if (!await this.#isQuiet() || condition()) continue;
      if (!this.clock.advance()) return false;
    }
    return true;
  }

  /** Waits until `condition` holds or nothing happens; no time passes. */
  async #calm(condition: () => boolean): Promise<void> {
    while (!condition() && !await this.#isQuiet());
  }

  /** Goes through the recording of one session, or those of a proxy's two. */
  async play(legs: readonly Leg[]): Promise<void> {
    const steps = inOrder(legs);
    const last = steps.findLastIndex(({ entry }) => entry.frame !== undefined);
    const batch = new Batch(this.#chunking);
    let outcomes = 0;
    // Whether our side has to say something before the next frame.
    let due = false;
    const caughtUp = async () => {
      await batch.send();
      const undone = () => [
        ...legs.flatMap((leg) => leg.undone),
        ...this.outcomes.length < outcomes ? [`outcome ${outcomes - 1}`] : [],
      ];
      const isDone = await this.until(() => undone().length === 0);
      if (!isDone) undone().forEach((what) => this.missed.add(what));
      due = false;
    };
    for (const [i, { leg, entry }] of steps.entries()) {
      if (entry.outcome !== undefined) {
        if (entry.by !== leg.ours) continue;
        outcomes++;
        due = true;
      } else if (entry.by === leg.ours) {
        leg.expect(entry.channel, entry.frame);
        // Credit is given by each implementation in its own way.
        if (entry.frame.type !== "window-adjust") due = true;
      } else {
        if (due) await caughtUp();
        await this.#say(leg, entry, batch);
      }
      if (i !== last) continue;
      await caughtUp();
      if (leg.recording.ends === other(leg.ours)) await leg.end();
    }
    await caughtUp();
    // What still sleeps must not change anything.
    await this.until(() => false);
  }

  async #say(
    leg: Leg,
    { channel, frame }: FrameEntry,
    batch: Batch,
  ): Promise<void> {
    const add = (frame: FrameEntry["frame"]) => {
      const bytes = leg.encode(channel, frame);
      if (bytes !== undefined) batch.add(leg, bytes);
    };
    // A channel that was opened ahead of need can take its place meanwhile.
    const line = () => leg.line(channel);
    if (frame.type === "window-adjust" && isTight(line())) {
      // Credit that comes early would leave the small window untested.
      await batch.send();
      await this.#calm(() => line().limits?.window === 0);
    }
    if (frame.type !== "data" || frame.payload.length === 0) return add(frame);
    const { recipient, payload } = frame;
    for (let at = 0; at < payload.length;) {
      if (line().credit === 0) {
        await batch.send();
        // Without credit it is for a channel that our side does not have.
        if (!await this.until(() => line().credit > 0)) return;
      }
      const end = Math.min(payload.length, at + line().credit);
      const piece = payload.subarray(at, end);
      add({ type: "data", recipient, payload: piece });
      at = end;
    }
  }

  /**
   * Whether all has come to rest: what is ready has run, and no write is under
   * way. Nothing else that our side does outlasts a turn of the event loop.
   */
  async #isQuiet(): Promise<boolean> {
    const events = this.#events;
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (events !== this.#events) return false;
    if (this.#writing === 0) return true;
    await new Promise<void>((resolve) => this.#wake = resolve);
    return false;
  }
}

/** Frames of the recorded side that go out together. */
class Batch {
  readonly #chunking: Chunking;
  #leg: Leg | undefined;
  #frames: Uint8Array[] = [];
  #sending: Promise<void> = Promise.resolve();

  constructor(chunking: Chunking) {
    this.#chunking = chunking;
  }

  /** Adds a frame; those of another session leave before it. */
  add(leg: Leg, frame: Uint8Array): void {
    if (leg !== this.#leg) this.#flush();
    this.#leg = leg;
    this.#frames.push(frame);
  }

  /** Sends all of them; our side has dealt with them when it resolves. */
  async send(): Promise<void> {
    this.#flush();
    await this.#sending;
  }

  #flush(): void {
    const frames = this.#frames;
    const leg = this.#leg;
    this.#frames = [];
    if (leg === undefined || frames.length === 0) return;
    this.#sending = this.#sending.then(() => leg.send(this.#chunking(frames)));
  }
}

/** Whether our side has less to send than a few values need. */
function isTight({ limits }: Line): boolean {
  return limits !== undefined && limits.window < TIGHT;
}

/** All entries, in the order of one recording or of both. */
function inOrder(legs: readonly Leg[]): Step[] {
  const steps = legs.flatMap((leg) =>
    leg.recording.entries.map((entry, i) => ({
      leg,
      entry,
      at: leg.recording.at?.[i] ?? i,
    }))
  );
  return steps.sort((a, b) => a.at - b.at);
}
