/**
 * The steps of client programs. What a step gets is an outcome.
 *
 * @module
 */
import type { Channel, RpcResponse } from "@qtalk/qtalk";
import { patternStream } from "../interop/pattern.ts";
import { concat, utf8 } from "../support/wire.ts";
import type { Program, Stage } from "./stage.ts";

/** One thing that a program does. */
export type Step = (actor: Actor) => void | Promise<void>;

/** A program under way, and the response that it has. */
export class Actor {
  readonly stage: Stage;
  /** The continued response of the last request. */
  response: RpcResponse | undefined;
  #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #unread: Uint8Array = new Uint8Array(0);

  /** Begins a program. */
  constructor(stage: Stage) {
    this.stage = stage;
  }

  /** Writes in order; no step waits for a write. */
  get writer(): WritableStreamDefaultWriter<Uint8Array> {
    return this.#writer ??= this.response!.writable.getWriter();
  }

  /** The next bytes, at most that many; null at the end. */
  async read(most: number): Promise<Uint8Array | null> {
    this.#reader ??= this.response!.readable.getReader();
    if (this.#unread.length === 0) {
      const { done, value } = await this.#reader.read();
      if (done) return null;
      this.#unread = value;
    }
    const taken = this.#unread.subarray(0, most);
    this.#unread = this.#unread.subarray(most);
    return taken;
  }
}

/** Makes a program of steps. */
export function program(...steps: Step[]): Program {
  return (stage) => run(steps, stage);
}

async function run(steps: readonly Step[], stage: Stage): Promise<void> {
  const actor = new Actor(stage);
  for (const step of steps) await step(actor);
}

/** Several programs at once. */
export function together(...programs: Step[][]): Step {
  return async ({ stage }) => {
    await Promise.all(programs.map((steps) => run(steps, stage)));
  };
}

/** Waits. */
export function pause(ms: number): Step {
  return ({ stage }) => stage.clock.sleep(ms);
}

// --- Calls ------------------------------------------------------------------

/** A plain call; an error is an outcome too. */
export function call(
  selector: string,
  args?: unknown,
  { deadline, cancelled, as = (reply) => reply }: {
    /** Milliseconds after which the program gives the call up. */
    deadline?: number;
    /** Whether it gave the call up before it began. */
    cancelled?: boolean;
    /** What the program makes of the reply. */
    as?: ((reply: unknown) => unknown) | undefined;
  } = {},
): Step {
  return async ({ stage }) => {
    const signal = cancelled
      ? AbortSignal.abort(new Error("context canceled"))
      : deadline === undefined
      ? undefined
      : stage.clock.deadline(deadline);
    await stage.take(
      stage.peer.call(selector, made(args, stage), { signal }).then(as),
    );
  };
}

/** A call whose argument is made when it is called. */
function made(args: unknown, stage: Stage): unknown {
  return args instanceof Streamed ? args.values(stage) : args;
}

/** Argument values that are sent one by one. */
class Streamed {
  constructor(
    /** Each when its time has come. */
    readonly items: readonly (readonly [ms: number, value?: unknown])[],
  ) {}

  /** Waits before each, and sends those that there are. */
  async *values({ clock }: Stage): AsyncGenerator<unknown> {
    for (const [ms, ...value] of this.items) {
      if (ms > 0) await clock.sleep(ms);
      yield* value;
    }
  }
}

/** A stream of argument values, with so many milliseconds before each. */
export function stream(values: readonly unknown[], every = 0): Streamed {
  return new Streamed(values.map((value) => [every, value]));
}

/** A stream whose values and end come after these pauses. */
export function timed(
  ...items: (readonly [ms: number, value?: unknown])[]
): Streamed {
  return new Streamed(items);
}

/** A call of which the program wants that many reply values. */
export function values(selector: string, count: number, args?: unknown): Step {
  return async ({ stage }) => {
    const { values } = await stage.peer.request(selector, args);
    for (const value of values.slice(0, count)) stage.got(value);
    if (values.length < count) stage.ended();
  };
}

/** A call that is continued: its first value is an outcome. */
export function request(selector: string, args?: unknown): Step {
  return async (actor) => {
    const { stage } = actor;
    try {
      actor.response = await stage.peer.request(selector, made(args, stage));
      stage.got(actor.response.value);
    } catch (error) {
      stage.failed(error);
    }
  };
}

// --- Continued responses ----------------------------------------------------

/** Sends a value; only a failure is an outcome. */
export function send(value: unknown): Step {
  return async ({ stage, response }) => {
    await response!.send(value).catch((error) => stage.failed(error));
  };
}

/** Receives a value, or the end. */
export const receive: Step = async (actor) => {
  await receiveNext(actor);
};

/** Receives to the end. */
export const receiveAll: Step = async (actor) => {
  while (await receiveNext(actor));
};

async function receiveNext({ stage, response }: Actor): Promise<boolean> {
  try {
    const value = await response!.receive();
    if (value === undefined) stage.ended();
    else stage.got(value);
    return value !== undefined;
  } catch (error) {
    stage.failed(error);
    return false;
  }
}

/** Ends the program's own direction, after what it wrote. */
export const end: Step = ({ writer }) => {
  writer.close().catch(() => {});
};

/** Closes the channel. */
export const close: Step = async ({ response }) => {
  await response!.close();
};

/** Writes a text. */
export function write(text: string): Step {
  return ({ writer }) => {
    writer.write(utf8(text)).catch(() => {});
  };
}

/** Writes bytes of the pattern. */
export function writePattern(size: number): Step {
  return async ({ writer }) => {
    for await (const chunk of patternStream(size)) {
      writer.write(chunk).catch(() => {});
    }
  };
}

/** Reads just that many bytes. */
export function read(size: number): Step {
  return async (actor) => {
    const chunks: Uint8Array[] = [];
    for (let left = size; left > 0;) {
      const chunk = await actor.read(left);
      if (chunk === null) return actor.stage.ended();
      chunks.push(chunk);
      left -= chunk.length;
    }
    actor.stage.got(concat(...chunks));
  };
}

/** Reads to the end: the bytes are an outcome, and so is how they ended. */
export const readAll: Step = async (actor) => {
  const { stage } = actor;
  const chunks: Uint8Array[] = [];
  let how = () => stage.ended();
  try {
    for (let chunk; (chunk = await actor.read(Infinity)) !== null;) {
      chunks.push(chunk);
    }
  } catch (error) {
    how = () => stage.failed(error);
  }
  stage.got(concat(...chunks));
  how();
};

// --- Sessions ---------------------------------------------------------------

/** Ends the session. */
export const endSession: Step = ({ stage }) => {
  void stage.session.close();
};

/** The session has ended, and how is an outcome. */
export const sessionEnds: Step = async ({ stage }) => {
  await stage.session.closed.then(
    () => stage.ended(),
    (error) => stage.failed(error),
  );
};

/** The session still opens channels. */
export const sessionGoesOn: Step = async ({ stage }) => {
  await pause(1_000)(new Actor(stage));
  await (await stage.session.open()).close();
  stage.got("the session goes on");
};

/** Opens a channel without a call, and reads it to the end. */
export const openOnly: Step = async ({ stage }) => {
  const opening: Promise<Channel> = stage.session.open();
  await stage.take(opening.then(() => null));
  const channel = await opening;
  for await (const _ of channel.readable);
  stage.ended();
  await channel.close();
};
