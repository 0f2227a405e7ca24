/**
 * Our side of a replay: the session, and what programs do with it.
 *
 * @module
 */
import { type Codec, json, Peer, type Session } from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { scriptedSession } from "../support/raw_peer.ts";
import type { Frame } from "../support/wire.ts";
import { within } from "../support/within.ts";
import type { Chunking, Side } from "./capture.ts";
import type { ReplayClock } from "./clock.ts";
import { FunctionIds } from "./function_ids.ts";
import { Leg } from "./leg.ts";
import { END, failureText, valueText } from "./outcome.ts";
import type { Recording } from "./recordings.ts";
import { Replay } from "./replay.ts";
import { type Report, reportOf } from "./report.ts";
import type { CodecName } from "./wire_value.ts";
// A recorded program goes on when our side has been silent for some turns. To load
// these parts, as the first session that needs them does, takes longer.
import "../../mux/flow/early_writes.ts";
import "../../rpc/callback/received.ts";
import "../../rpc/client/continued_call.ts";
import "../../rpc/client/failed_arguments.ts";
import "../../rpc/forward/forwarding.ts";
import "../../rpc/handler/answering.ts";
import "../../rpc/internal_server.ts";

/** A session of ours, whatever its type is called. */
export type OurSession = ReturnType<typeof scriptedSession>["session"];

/** Its options. */
type SessionOptions = NonNullable<Parameters<typeof scriptedSession>[0]>;

/** The codecs of the recordings, as this library has them. */
export const CODECS: Record<CodecName, () => Codec> = {
  // Go's 64-bit integers are recorded.
  json: () => json({ bigint: true }),
  cbor,
};

/** How our side differs from a peer with defaults. */
export interface Casting {
  /** What it does. */
  program: Program;
  /** Options of its session. */
  session?: SessionOptions;
  /** Whether it accepts channels. Default: true. */
  accepts?: boolean;
  /** The errors that `onError` gets; the recordings have nothing of the kind. */
  reports?: readonly string[];
}

/** Does what `does` says of one side. */
export type Program = (stage: Stage) => void | Promise<void>;

/** What a program has. */
export class Stage {
  readonly recording: Recording;
  readonly session: Session;
  readonly clock: ReplayClock;
  /** The errors that `onError` got. */
  readonly reported: string[] = [];
  readonly #replay: Replay;
  readonly #makePeer: (stage: Stage, codec: Codec) => Peer;
  readonly #onHeard = new Map<Frame["type"], () => void>();
  #peer: Peer | undefined;

  /** Made for a replay. */
  constructor(
    recording: Recording,
    replay: Replay,
    session: Session,
    makePeer: (stage: Stage, codec: Codec) => Peer,
  ) {
    this.recording = recording;
    this.clock = replay.clock;
    this.session = session;
    this.#replay = replay;
    this.#makePeer = makePeer;
  }

  /** A peer of the session, in the codec of the recording; made once. */
  get peer(): Peer {
    return this.peerIn(this.recording.codec);
  }

  /** The peer, in another codec. */
  peerIn(codec: CodecName): Peer {
    return this.#peer ??= this.#makePeer(this, CODECS[codec]());
  }

  /** Resolves when our side says a frame of this type for the first time. */
  heard(type: Frame["type"]): Promise<void> {
    return new Promise((resolve) => this.#onHeard.set(type, resolve));
  }

  /** Our side said a frame. */
  hear(frame: Frame | null): void {
    if (frame !== null) this.#onHeard.get(frame.type)?.();
  }

  /** The program got a value. */
  got(value: unknown): void {
    this.#replay.outcome(valueText(value));
  }

  /** The program got an error. */
  failed(error: unknown): void {
    this.#replay.outcome(failureText(describe(error)));
  }

  /** The program got the end of the data. */
  ended(): void {
    this.#replay.outcome(END);
  }

  /** The program gets what this comes to. */
  async take(promise: Promise<unknown>): Promise<void> {
    await promise.then(
      (value) => this.got(value),
      (error) => this.failed(error),
    );
  }
}

/** An error of this library by its code, any other by its text. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? `${error.name} ${code}` : error.message;
}

/** Replays a recording to one side of ours, and says what that did. */
export async function replayTo(
  ours: Side,
  recording: Recording,
  chunking: Chunking,
  { program, session: options = {}, accepts = true }: Casting,
  unopened: readonly string[],
): Promise<Report> {
  const replay = new Replay(chunking);
  const ids = new FunctionIds();
  const { session, raw } = scriptedSession(
    { ...loweredOptions(ours, recording), ...options },
    { watch: (transport) => replay.watch(transport) },
  );
  if (!accepts) session.accept = () => {};
  const leg = new Leg({
    recording,
    ours,
    raw,
    unopened,
    ids,
    onHeard(frame) {
      stage.hear(frame);
      replay.note();
    },
    write: (written) => replay.write(written),
  });
  const stage = new Stage(
    recording,
    replay,
    session,
    (stage, codec) =>
      new Peer(session, {
        codec,
        onError: (error) => stage.reported.push(describe(error)),
      }),
  );
  const running = Promise.resolve(program(stage));
  running.catch(() => {}); // It is awaited below.
  await replay.play([leg]);
  if (ours === "client") await session.close();
  else await leg.end();
  await within(Promise.all([running, leg.ended]), "our side to end");
  return await reportOf({ leg, ids, session, stage, replay });
}

/** The window and packet size that our side had in the recording. */
function loweredOptions(
  ours: Side,
  { lowered, entries }: Recording,
): SessionOptions {
  const granted = entries.find(({ by, frame }) =>
    by === ours && (frame?.type === "open" || frame?.type === "open-confirm")
  )?.frame;
  if (!lowered || granted === undefined || !("window" in granted)) return {};
  const { window, maxPacketSize } = granted;
  // A size that is too small for qmux cannot be asked for.
  if (window > 100_000 || maxPacketSize < 9) return {};
  return {
    initialWindowSize: window,
    maxWindowSize: window,
    maxPacketSize,
  };
}
