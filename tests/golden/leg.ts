/**
 * One session of a replay: reads what our side says, and puts the recorded
 * frames into the channel IDs that our side gave.
 *
 * @module
 */
import type { RawPeer } from "../support/raw_peer.ts";
import {
  adjust,
  close,
  confirm,
  data,
  eof,
  failure,
  type Frame,
  GO_PACKET,
  GO_WINDOW,
  open,
} from "../support/wire.ts";
import type { Side } from "./capture.ts";
import type { FunctionIds } from "./function_ids.ts";
import {
  other,
  type RecordedChannel,
  type Recording,
  textOf,
} from "./recordings.ts";
import { Said } from "./said.ts";

/** The first number of the recorded side for channels that no call has taken. */
const FIRST_SPARE = 1_000;

/** A channel of the replayed session. */
export interface Line {
  /** What it replays; a channel opened ahead of need has not shown it yet. */
  recorded: RecordedChannel | undefined;
  /** The number that our side gave it. */
  ourId: number | undefined;
  /** Whether our counterpart had opened it at this point of the recording. */
  openDue: boolean;
  /** Bytes that the recorded side may still send. */
  credit: number;
  /** What our side may still send; undefined until the peer has said it. */
  limits: { window: number; maxPacketSize: number } | undefined;
  /** Whether the window was raised because our headers are longer. */
  raised: boolean;
  /** What our side has said. */
  said: Said;
  /** What our recorded counterpart had said at this point of the recording. */
  due: Said;
}

/** How a leg is set up. */
export interface LegOptions {
  recording: Recording;
  /** The side that is ours. */
  ours: Side;
  raw: RawPeer;
  /** The channels that our side, unlike its counterpart, does not open. */
  unopened: readonly string[];
  /** The ids of functions that our side gave. */
  ids: FunctionIds;
  /** Called after each frame of our side, and with null at its end. */
  onHeard: (frame: Frame | null) => void;
  /** Sees each write of the recorded side while it is under way. */
  write: (written: Promise<void>) => Promise<void>;
}

/** A session between our side and a script. */
export class Leg {
  readonly recording: Recording;
  readonly ours: Side;
  /** All channels of the session. */
  readonly lines: Line[] = [];
  /** Rules of the wire that our side broke. */
  readonly breaches: string[] = [];
  /** Resolves when our side has ended its direction, and so has the other. */
  readonly ended: Promise<void>;
  readonly #options: LegOptions;
  /** Channels by the number that the recorded side gave them last. */
  readonly #named = new Map<number, Line>();
  /** Whether our side may open channels before it needs them. */
  #spare = false;
  #spares = 0;
  #sending: Promise<void> = Promise.resolve();

  /** Starts to listen. */
  constructor(options: LegOptions) {
    this.#options = options;
    this.recording = options.recording;
    this.ours = options.ours;
    this.ended = this.#listen();
  }

  /** Sends these chunks, which together are whole frames. */
  send(chunks: Iterable<Uint8Array>): Promise<void> {
    // Our side may be gone already, as it should in some of the recordings.
    const written = this.#sending
      .then(() => this.#options.raw.sendEach(chunks))
      .catch(() => {});
    return this.#sending = this.#options.write(written);
  }

  /** Ends the recorded side's direction of the byte stream. */
  end(): Promise<void> {
    return this.#sending = this.#sending.then(() => this.#options.raw.end());
  }

  /** The recorded counterpart of our side said a frame: ours has to, too. */
  expect(channel: RecordedChannel, frame: Frame): void {
    const line = this.line(channel);
    if (frame.type === "open") line.openDue = true;
    line.due.take(frame);
  }

  /** The channels on which our side has not said all that is due. */
  get undone(): string[] {
    return this.lines
      .filter((line) => !this.#isDone(line))
      .flatMap(({ recorded }) => recorded?.name ?? []);
  }

  /** The channel that replays this one. */
  line(channel: RecordedChannel): Line {
    return this.lines.find(({ recorded }) => recorded === channel) ??
      this.#newLine(channel);
  }

  /**
   * The frame of the recorded side as it has to be sent; nothing if our side has
   * no such channel, or has it confirmed already.
   */
  encode(channel: RecordedChannel, frame: Frame): Uint8Array | undefined {
    const line = this.line(channel);
    if (frame.type === "open") {
      this.#name(line, frame.sender, frame);
      return open(frame.sender, frame.window, frame.maxPacketSize);
    }
    const { ourId, limits } = line;
    if (ourId === undefined) return undefined;
    switch (frame.type) {
      case "open-confirm":
        // A channel that was opened ahead of need was confirmed when it came.
        if (limits !== undefined) return undefined;
        this.#name(line, frame.sender, frame);
        return confirm(ourId, frame.sender, frame.window, frame.maxPacketSize);
      case "open-failure":
        return failure(ourId);
      case "window-adjust": {
        const bytes = frame.bytes + this.#surplus(line);
        if (limits !== undefined) limits.window += bytes;
        return adjust(ourId, bytes);
      }
      case "data":
        this.#allowSpares(channel);
        line.credit -= frame.payload.length;
        return data(ourId, this.#options.ids.ours(frame.payload));
      case "eof":
        return eof(ourId);
      case "close":
        return close(ourId);
    }
  }

  #isDone({ openDue, ourId, limits, said, due }: Line): boolean {
    // One that was opened ahead of need shows what it is by what is said.
    if (openDue && ourId === undefined && !this.#spare) return false;
    // Our headers are longer, which leaves less credit for what follows.
    return said.reached(due) || limits?.window === 0;
  }

  async #listen(): Promise<void> {
    for (;;) {
      const frame = await this.#options.raw.next();
      if (frame !== null) this.#hear(frame);
      this.#options.onHeard(frame);
      if (frame === null) break;
    }
    await this.end();
  }

  #hear(frame: Frame): void {
    if (frame.type === "open") return this.#opened(frame.sender, frame.window);
    const line = this.#named.get(frame.recipient);
    if (line === undefined) {
      this.breaches.push(`${frame.type} for channel ${frame.recipient}`);
      return;
    }
    if (frame.type === "open-confirm") {
      line.ourId = frame.sender;
      line.credit = frame.window;
    } else if (frame.type === "window-adjust") line.credit += frame.bytes;
    else if (frame.type === "data") this.#count(line, frame.payload.length);
    line.said.take(frame);
    if (line.recorded === undefined) this.#match(line);
    else this.#options.ids.learn(line.said, line.recorded.said[this.ours]);
  }

  #count({ limits }: Line, size: number): void {
    if (limits === undefined) return;
    if (size > limits.maxPacketSize) {
      this.breaches.push("DATA beyond the packet");
    }
    limits.window -= size;
    if (limits.window < 0) this.breaches.push("DATA beyond the window");
  }

  #opened(sender: number, window: number): void {
    const next = this.#spare ? undefined : this.#unopened()[0];
    const line = next === undefined
      ? this.#newLine(undefined)
      : this.line(next);
    line.ourId = sender;
    line.credit = window;
    if (next !== undefined) return;
    const number = FIRST_SPARE + this.#spares++;
    this.#name(line, number, { window: GO_WINDOW, maxPacketSize: GO_PACKET });
    void this.send([confirm(sender, number)]);
  }

  /** Recorded channels that our side has to open and has not. */
  #unopened(): RecordedChannel[] {
    const opened = new Set(
      this.lines.filter((line) => line.ourId !== undefined)
        .map((line) => line.recorded),
    );
    return this.recording.channels.filter((channel) =>
      channel.opener === this.ours && !opened.has(channel) &&
      !this.#options.unopened.includes(channel.name)
    );
  }

  #newLine(recorded: RecordedChannel | undefined): Line {
    const { codec } = this.recording;
    const said = () =>
      recorded === undefined || recorded.opener === this.ours
        ? new Said(codec, "call")
        : new Said(codec, "response", recorded.said[other(this.ours)]);
    const line: Line = {
      recorded,
      ourId: undefined,
      openDue: false,
      credit: 0,
      limits: undefined,
      raised: false,
      said: said(),
      due: said(),
    };
    this.lines.push(line);
    return line;
  }

  #name(
    line: Line,
    number: number,
    { window, maxPacketSize }: { window: number; maxPacketSize: number },
  ): void {
    this.#named.set(number, line);
    line.limits = { window, maxPacketSize };
  }

  /** Finds what is replayed on a channel that was opened ahead of need. */
  #match(line: Line): void {
    const { selector, values: [, argument] } = line.said;
    if (selector === undefined) return;
    const text = (value: Uint8Array | undefined) =>
      value && textOf(this.recording.codec, value);
    const alike = this.#unopened()
      .map((channel) => ({ channel, said: channel.said[this.ours] }))
      .filter(({ said }) => said.selector === selector);
    if (alike.length > 1 && argument === undefined) return;
    const { channel } =
      alike.find(({ said }) => text(said.values[1]) === text(argument)) ??
        alike[0] ?? {};
    if (channel === undefined) return;
    const waiting = this.line(channel);
    this.lines.splice(this.lines.indexOf(waiting), 1);
    line.recorded = channel;
    line.due = waiting.due;
  }

  /** From the first response on that says `null` for no error. */
  #allowSpares({ opener, said }: RecordedChannel): void {
    if (this.#spare || opener !== this.ours) return;
    const [header] = said[other(opener)].values;
    this.#spare = header !== undefined &&
      textOf(this.recording.codec, header).includes('"Error": null');
  }

  /** The bytes to add to the first credit, since our headers are longer. */
  #surplus(line: Line): number {
    const { recorded, said, raised } = line;
    const longer = said.headerSize -
      (recorded?.said[this.ours].headerSize ?? Infinity);
    if (!this.recording.lowered || raised || longer <= 0) return 0;
    line.raised = true;
    return longer;
  }
}
