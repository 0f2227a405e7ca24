/**
 * One session, and a script at its other end.
 *
 * @module
 */
import { assert } from "@std/assert";
import type { SessionOptions } from "../../mux/options.ts";
import type { Session } from "../../mux/types.ts";
import type { Channel } from "../../mux/types.ts";
import { register } from "../support/harness.ts";
import type { RawPeer } from "../support/raw_peer.ts";
import { confirm, type Frame, GO_WINDOW, open, text } from "../support/wire.ts";
import { within } from "../support/within.ts";
import { assertCode, failure, Pipe } from "./session_pair.ts";

/** The number that the script gives its marker. */
const MARKER = 0xfffffff0;

/** What a scripted test is given. */
export class Script {
  readonly session: Session;
  readonly raw: RawPeer;

  /** Sets up around a session and a script. */
  constructor(session: Session, raw: RawPeer) {
    this.session = session;
    this.raw = raw;
  }

  /**
   * The script opens a channel, its number 5, which the session accepts: both
   * the channel, nothing of which is taken, and the number that it was given
   * there.
   */
  async accepted(
    { number = 5, window = GO_WINDOW } = {},
  ): Promise<{ channel: Channel; id: number }> {
    const accepting = this.session[Symbol.asyncIterator]().next();
    await this.raw.send(open(number, window));
    const { sender } = await this.raw.find("open-confirm");
    return { channel: (await accepting).value!, id: sender };
  }

  /** As {@linkcode accepted}, with reader and writer taken. */
  async incoming(
    options: { number?: number; window?: number } = {},
  ): Promise<{ pipe: Pipe; id: number }> {
    const { channel, id } = await this.accepted(options);
    return { pipe: new Pipe(channel), id };
  }

  /** The session opens a channel, which the script confirms as its number 5. */
  async outgoing(
    { number = 5, window = GO_WINDOW } = {},
  ): Promise<{ pipe: Pipe; id: number }> {
    const opening = this.session.open();
    const { sender } = await this.raw.find("open");
    await this.raw.send(confirm(sender, number, window));
    return { pipe: new Pipe(await opening), id: sender };
  }

  /**
   * All frames that the session sent so far and nobody has asked for: those
   * before its answer to a question that it must refuse.
   */
  async said(): Promise<Frame[]> {
    const frames: Frame[] = [];
    // Credit is put behind what else a turn sends: the second answer has it.
    for (let i = 0; i < 2; i++) {
      await this.raw.send(open(MARKER, 0, 0));
      for (;;) {
        const frame = await this.raw.next();
        if (frame === null) return frames;
        if (frame.type === "open-failure" && frame.recipient === MARKER) break;
        frames.push(frame);
      }
    }
    return frames;
  }

  /** As {@linkcode said}, without what returns credit. */
  async saidButCredit(): Promise<Frame[]> {
    return (await this.said()).filter(({ type }) => type !== "window-adjust");
  }
}

/** Sends `frames`, which the session must not survive; returns what it says. */
export async function violate(
  { session, raw }: Script,
  ...frames: Uint8Array[]
): Promise<string> {
  await raw.send(...frames);
  const error = await failure(session.closed);
  assertCode(error, "protocol-error");
  const { message } = error as Error;
  const attempted = "Cannot continue session: ";
  assert(message.startsWith(attempted), message);
  return message.slice(attempted.length);
}

/** Registers a test of a session against a script. */
export function scripted(
  behaviour: string,
  body: (script: Script) => Promise<void>,
  options: SessionOptions = {},
): void {
  register(behaviour, {}, async (t) => {
    const { session, raw } = t.script(options);
    await within(body(new Script(session, raw)), behaviour);
  });
}

/** The bytes that the script received on a channel, and its other frames. */
export async function saidOn(
  script: Script,
  number: number,
): Promise<{ bytes: string; ends: string[] }> {
  const frames = (await script.saidButCredit()).filter((frame) =>
    "recipient" in frame && frame.recipient === number
  );
  return {
    bytes: frames.map((frame) =>
      frame.type === "data" ? text(frame.payload) : ""
    ).join(""),
    ends: frames.map(({ type }) => type).filter((type) => type !== "data"),
  };
}
