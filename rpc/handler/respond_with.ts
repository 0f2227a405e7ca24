import { type Channel, MuxError, type RawChannel } from "../../mux/internal.ts";
import { backgroundTimer } from "../../time_limit.ts";
import { RpcResponse } from "../client/response.ts";
import { loadPart } from "../errors.ts";
import { READING_TIME } from "../server/incoming_call.ts";
import type { Call, Responder } from "../types.ts";
import {
  checkResult,
  isValueStream,
  openSource,
  type ValueSource,
  type ValueStream,
} from "../wire/value_source.ts";
import { isServerCall, isServerResponder } from "./invoke.ts";

/**
 * The key of a method of responders that give a result to middleware, streams as
 * they are, before it is sent.
 */
export const capture: unique symbol = Symbol("qtalk.capture");

/** A responder that has such a method. */
interface CapturingResponder {
  /** Takes the result; settles when the caller has been answered. */
  [capture](result: unknown): Promise<void>;
}

/** Whether a responder takes results as they are. */
export function isCapturing(respond: object): respond is CapturingResponder {
  return capture in respond;
}

/**
 * Responds with what a function returned: a value, a promise of one, or a stream
 * of values or bytes.
 */
export function respondWith(
  result: unknown,
  call: Call,
  respond: Responder,
): void | Promise<void> {
  if (typeof result !== "object" || result === null) {
    return void respond.return(result);
  }
  if (typeof (result as PromiseLike<unknown>).then === "function") {
    // The then() of some thenables does not return a promise.
    return Promise.resolve(result).then((value) =>
      respondWithResolved(value, call, respond)
    );
  }
  return respondWithResolved(result, call, respond);
}

function respondWithResolved(
  value: unknown,
  call: Call,
  respond: Responder,
): void | Promise<void> {
  if (typeof value === "object" && value !== null) {
    if (isValueStream(value)) {
      if (isCapturing(respond)) return respond[capture](value);
      return value instanceof RpcResponse
        ? respondWithResponse(value, respond)
        : respondWithValues(sourceFor(value, call), call, respond);
    }
    if (isBytePair(value)) {
      return isCapturing(respond)
        ? respond[capture](value)
        : respondWithBytes(value, call, respond);
    }
  }
  void respond.return(value);
}

/** Whether a value is what becomes the stream of bytes of a call. */
export function isBytePair(value: object): value is BytePair {
  const { readable, writable } = value as Partial<BytePair>;
  return readable !== undefined && readable instanceof ReadableStream &&
    writable instanceof WritableStream;
}

/** Starts to take the values of a stream, to respond to a call with them. */
export function sourceFor(stream: ValueStream, call: Call): ValueSource {
  const divides = isServerCall(call) && call.request.extended;
  return openSource(stream, (error) => report(error, call, false), divides);
}

/** What pipes channels, once it is loaded: most programs pass on no response. */
let piping: typeof import("../../mux/internal_server.ts") | undefined;

/** Responds with the response to another call, complete or continued. */
async function respondWithResponse(
  response: RpcResponse,
  respond: Responder,
): Promise<void> {
  if (response.channel === undefined) {
    const { values } = response;
    // The peer decides how many there are: more than a function's arguments.
    return await (isServerResponder(respond)
      ? respond.returnAll(values)
      : respond.return(...values));
  }
  let channel;
  try {
    piping ??= await loadPart(
      "pass on response",
      import("../../mux/internal_server.ts"),
    );
    channel = await respond.continue(response.value);
  } catch (error) {
    await response.close();
    throw error;
  }
  await piping.splice(channel, response.channel);
}

/** Responds with bytes in both directions, until both have ended. */
async function respondWithBytes(
  pair: BytePair,
  call: Call,
  respond: Responder,
): Promise<void> {
  if (pair.readable.locked || pair.writable.locked) {
    throw new TypeError("Cannot respond with streams: one of them is locked");
  }
  const { signal } = call;
  const socket = isSocket(pair) ? socketStreams(pair) : undefined;
  let channel: Channel;
  try {
    channel = isServerResponder(respond)
      ? await respond.continueWithBytes()
      : await respond.continue();
  } catch (error) {
    // It is too late to answer. Nothing else ends the streams, which may be those
    // of another call.
    if (socket !== undefined) socket.close();
    else dropStreams(pair, error);
    throw error;
  }
  const { readable, writable } = socket ?? pair;
  const stopWatching = socket && isServerCall(call)
    ? closeIfStuck(socket, call.channel)
    : undefined;
  const failures: unknown[] = [];
  // A caller that goes away breaks the pipes, which is not a failure. This is
  // decided before the channel is touched, because closing it makes the caller
  // answer with CLOSE, which aborts the signal too. After a failed write, the
  // signal aborts only when reading has failed as well.
  const judge = (error: unknown) => {
    const lost = error instanceof MuxError && error.code === "connection-lost";
    if (!signal.aborted && !lost) failures.push(error);
  };
  await Promise.allSettled([
    readable.pipeTo(channel.writable, { preventAbort: true }).catch((error) => {
      judge(error);
      return channel.writable.abort(error);
    }),
    channel.readable.pipeTo(writable, { preventCancel: true }).catch(
      (error) => {
        judge(error);
        return channel.readable.cancel(error);
      },
    ),
  ]);
  stopWatching?.();
  socket?.close();
  await channel.close();
  if (failures.length > 0) throw failures[0];
}

/** Ends streams that nothing uses; it may take any time until they have ended. */
function dropStreams({ readable, writable }: BytePair, reason: unknown): void {
  readable.cancel(reason).catch(() => {});
  writable.abort(reason).catch(() => {});
}

/**
 * Responds with values as they come, each in a frame, then a trailer (to extended
 * callers), EOF and CLOSE. The source is asked for its next value after the
 * previous one was sent, which waits while the caller does not read. It is
 * stopped when the caller closes the call.
 *
 * @param reports whether an error of the source is reported, if it is a bug.
 * Default: yes
 */
export async function respondWithValues(
  source: ValueSource,
  call: Call,
  respond: Responder,
  reports = true,
): Promise<void> {
  const first = source.next();
  const failed = await failedAtOnce(first);
  if (failed !== undefined) throw failed.error;

  const { signal } = call;
  const closed = Promise.withResolvers<void>();
  const onAbort = () => {
    source.stop(signal.reason);
    closed.resolve();
  };
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    // A producer that never continues must not keep the call.
    await Promise.race([closed.promise, sendValues(first, source, respond)]);
  } catch (error) {
    source.stop(error);
    if (!signal.aborted) endWithError(error, call, respond, reports);
    else report(error, call, false);
  } finally {
    signal.removeEventListener("abort", onAbort);
    // The producer has no more use for what the caller streams.
    if (signal.aborted && isServerCall(call)) call.drop();
  }
}

/**
 * What a generator throws before it first awaits or yields is known one turn of
 * the microtask queue later. Such an error is sent as an error response, which
 * every peer understands.
 */
export async function failedAtOnce(
  first: Promise<unknown>,
): Promise<{ error: unknown } | undefined> {
  const failures: unknown[] = [];
  first.catch((error) => failures.push(error));
  await undefined;
  return failures.length === 0 ? undefined : { error: failures[0] };
}

/**
 * Closes a socket that has not taken all of the bytes that its caller has cut off
 * within a while: it would stay open for as long as it takes none.
 */
function closeIfStuck(socket: SocketStreams, channel: RawChannel): () => void {
  let cancel: (() => void) | undefined;
  const onClosed = () => {
    if (channel.failure === undefined) return;
    cancel = backgroundTimer(READING_TIME, () => socket.close(), false);
  };
  channel.whenClosed(onClosed);
  return () => {
    channel.cancelWhenClosed(onClosed);
    cancel?.();
  };
}

async function sendValues(
  first: Promise<IteratorResult<unknown>>,
  source: ValueSource,
  respond: Responder,
): Promise<void> {
  if (isServerResponder(respond)) {
    await respond.continueWithStream();
    for (let next = first;; next = source.next()) {
      const { done, value } = checkResult(await next);
      if (done) return respond.end();
      await respond.sendNow(value);
    }
  }
  const channel = await respond.continue();
  for (let next = first;; next = source.next()) {
    const { done, value } = checkResult(await next);
    if (done) break;
    await respond.send(value);
  }
  await channel.writable.close();
  await channel.close();
}

/** Sends the error to the caller if that is possible, or throws it. */
function endWithError(
  error: unknown,
  call: Call,
  respond: Responder,
  reports: boolean,
): void {
  if (!isServerResponder(respond) || !respond.fail(error)) throw error;
  if (reports) report(error, call, true);
}

function report(error: unknown, call: Call, answers: boolean): void {
  if (isServerCall(call)) call.report(error, answers);
}

// Sockets as pairs of streams of which each ends on its own.

/** A pair of byte streams. */
export interface BytePair {
  /** Bytes from it. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Bytes to it. */
  readonly writable: WritableStream<Uint8Array>;
}

/** The methods of a `Deno.Conn`. */
export interface Socket {
  /** Resolves to the number of bytes read, `null` at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Resolves to the number of bytes written. */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends the writing direction. */
  closeWrite(): Promise<void>;
  /** Ends both directions. */
  close(): void;
}

/** Bytes to read at once. */
const READ_SIZE = 64 * 1024;

/** Whether an object has the methods of a socket. */
export function isSocket<T extends object>(
  value: T,
): value is T & Socket {
  const { read, write, closeWrite, close } = value as Partial<Socket>;
  return [read, write, closeWrite, close].every((method) =>
    typeof method === "function"
  );
}

/** The streams of a socket. */
export interface SocketStreams extends BytePair {
  /** Closes the socket, if it is still open. */
  close(): void;
}

/**
 * Makes streams that use the methods of a socket. The socket's own streams close
 * both directions when either ends (denoland/deno#22258, #27510), which loses
 * the bytes of the other direction.
 *
 * The streams do not close the socket: call `close()` when both have ended.
 */
export function socketStreams(socket: Socket): SocketStreams {
  return {
    readable: new ReadableStream<Uint8Array>({
      async pull(controller) {
        const buffer = new Uint8Array(READ_SIZE);
        const size = await socket.read(buffer);
        if (size === null) controller.close();
        else controller.enqueue(buffer.subarray(0, size));
      },
    }, { highWaterMark: 0 }),
    writable: new WritableStream<Uint8Array>({
      async write(bytes) {
        for (let at = 0; at < bytes.length;) {
          at += await socket.write(bytes.subarray(at));
        }
      },
      close: () => socket.closeWrite(),
    }),
    close() {
      try {
        socket.close();
      } catch {
        // It is closed already.
      }
    },
  };
}
