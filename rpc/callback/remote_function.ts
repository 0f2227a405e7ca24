import { printableText } from "../../printable_text.ts";
import { isOurs, RemoteError, RpcError } from "../errors.ts";
import { copyOf } from "../../mux/internal.ts";
import type { RpcResponse } from "../client/response.ts";
import { callArguments, RemoteCall } from "../remote/remote.ts";
import type { CallbackLife } from "../remote/callback_life.ts";
import type { Call, Caller, CallOptions, Handler } from "../types.ts";
import { receivedStream } from "../wire/received_stream.ts";
import { kindOf, nameAfter, remoteKey, type RemoteValue } from "./pointers.ts";
import { releaseSoon } from "./release.ts";

/** A function of the peer, as programs see it. */
export type CallbackFunction =
  & ((...args: unknown[]) => RemoteCall)
  & CallbackLife;

/** A stream of the peer, as programs see it. */
export type CallbackStream = ReadableStream<unknown> & CallbackLife;

/** What is around the calls of functions that one session has lent, or was lent. */
export interface AroundCallbacks {
  /** Makes a call of a function of the peer, by `next()`. */
  call(
    selector: string,
    next: (options: CallOptions) => Promise<RpcResponse>,
  ): Promise<RpcResponse>;
  /** Makes a handler around that of a function of this side. */
  handler(handler: Handler): Handler;
}

/** The session that functions of the peer came over, as far as they use it. */
export interface FunctionSession {
  /** What is around calls of functions. */
  readonly around?: AroundCallbacks | undefined;
  /** Whether the peer is extended. */
  readonly peerExtended: boolean;
  /** Called with errors that no promise reports, and the selector of the call. */
  readonly onError: (error: unknown, selector: string | undefined) => void;
}

/**
 * How many streams of the peer can be unread at the same time. On the wire, a
 * stream is some forty bytes, which are not what it costs here.
 */
const MAX_STREAMS = 4_096;

/** The functions and streams of the peer of one session, by ID. */
export class RemoteFunctions {
  readonly #session: FunctionSession;
  readonly #byId = new Map<string, RemoteFunction>();
  #streams = 0;
  /** Releases what became unreachable without having been released. */
  #unreachable: FinalizationRegistry<RemoteFunction> | undefined;

  /** Makes an empty list. */
  constructor(session: FunctionSession) {
    this.#session = session;
  }

  /**
   * Counts a stream that can be read.
   *
   * @throws {RpcError} `limit-exceeded`
   */
  openStream(): void {
    if (this.#streams >= MAX_STREAMS) {
      throw new RpcError(
        "limit-exceeded",
        `Cannot receive stream: ${MAX_STREAMS} of this session are unread`,
      );
    }
    this.#streams++;
  }

  /** A stream can no longer be read. */
  closeStream(): void {
    this.#streams--;
  }

  /** Whether the peer can be asked to release functions. */
  get peerExtended(): boolean {
    return this.#session.peerExtended;
  }

  /** What is around calls of functions. */
  get around(): AroundCallbacks | undefined {
    return this.#session.around;
  }

  /** Reports an error of a function that came with the call of `origin`. */
  report(error: unknown, origin: string): void {
    this.#session.onError(error, origin);
  }

  /**
   * The function with an ID, always the same.
   *
   * @param caller calls it from now on
   * @param origin the selector of the call that it came with now
   */
  get(id: string, caller: Caller, origin: string): RemoteFunction {
    let fn = this.#byId.get(id);
    if (fn === undefined) {
      fn = new RemoteFunction(id, this);
      this.#byId.set(id, fn);
    }
    fn.caller = caller;
    fn.origin = origin;
    return fn;
  }

  /** The selector of the call that a function or stream has come with. */
  originOf(id: string): string | undefined {
    return this.#byId.get(id)?.origin;
  }

  /** What errors call the call of a function or stream. */
  nameOf(id: string): string | undefined {
    return this.#byId.get(id)?.name;
  }

  /** The ID of a function or stream of this peer that can be given back to it. */
  idOf(value: object): string | undefined {
    const fn = remoteOf(value);
    if (fn === undefined || fn.functions !== this || fn.isBegun) {
      return undefined;
    }
    fn.check("send");
    return fn.id;
  }

  /** Watches what a program was given for a function. */
  watch(value: object, fn: RemoteFunction): void {
    this.#unreachable ??= new FinalizationRegistry((fn) => fn.unreachable());
    this.#unreachable.register(value, fn);
  }

  /** Forgets a function of which nothing is left. */
  forget(fn: RemoteFunction): void {
    if (this.#byId.get(fn.id) === fn) this.#byId.delete(fn.id);
  }

  /** The session has ended. */
  close(): void {
    this.#byId.clear();
  }
}

function remoteOf(value: object): RemoteFunction | undefined {
  return (value as { [remoteKey]?: RemoteFunction })[remoteKey];
}

/**
 * One function of the peer, or a stream, which is a function that is called once.
 *
 * It can be called while a call lends it or a program holds it. A program holds it
 * once for each `retain()`, and for each time that it came with a response. The
 * peer has granted it once for each time that it came with a response, and for
 * each call whose answer has named it. When no program holds it any more and no
 * call of it is running, all of that is given back at once.
 */
export class RemoteFunction implements RemoteValue {
  /** The selector that it is called by. */
  readonly id: string;
  /** The list that it belongs to. */
  readonly functions: RemoteFunctions;
  /** Makes the calls of it. */
  caller!: Caller;
  /** The selector of the latest call that it came with. */
  origin!: string;
  /** What programs have. */
  #value: WeakRef<CallbackFunction | CallbackStream> | undefined;
  #holds = 0;
  #grants = 0;
  /** Calls that lend it. */
  #loans = 0;
  /** Those of them whose answer can still name it. */
  #openLoans = 0;
  /** Those of them that have a deadline, and are not answered. */
  #limits: Set<Call> | undefined;
  /** Calls of it that are running. */
  #calls = 0;
  /** Ends a stream that can be read. */
  #endReading: (() => void) | undefined;
  #isReading = false;
  #begun = false;

  /** Made by {@linkcode RemoteFunctions.get}. */
  constructor(id: string, functions: RemoteFunctions) {
    this.id = id;
    this.functions = functions;
  }

  /** What errors call its calls: programs know nothing of its ID. */
  get name(): string {
    return nameAfter(this.id, this.origin);
  }

  /** Whether it is a stream that is being read, or was. */
  get isBegun(): boolean {
    return this.#begun;
  }

  /**
   * A call lends it.
   *
   * @param answered whether its answer cannot name it any more
   * @param limit the call, if it has a deadline
   */
  lend(answered: boolean, limit?: Call): void {
    this.#loans++;
    if (limit !== undefined) (this.#limits ??= new Set()).add(limit);
    if (!answered) this.#openLoans++;
  }

  /** It came with a response. */
  grant(): void {
    this.#grants++;
    this.#holds++;
  }

  /**
   * Whether the answer to a call that lends it has to name it. A running call of
   * it is a reason too, because that call may arrive after the answer, and so is a
   * reader of a stream.
   *
   * @param ends whether the answer ends the call
   */
  isKept(ends: boolean): boolean {
    return this.#grants === 0 &&
      (this.#holds > 0 || (ends && (this.#calls > 0 || this.#hasReader)));
  }

  /** Whether it is a stream that has a reader and was not read yet. */
  get #hasReader(): boolean {
    return this.#endReading !== undefined && !this.#begun &&
      (this.#value?.deref() as CallbackStream | undefined)?.locked === true;
  }

  /**
   * A call that lends it is answered.
   *
   * @param kept whether the answer names it
   * @param limit the call, if it had a deadline
   */
  answered(kept: boolean, limit?: Call): void {
    if (limit !== undefined) this.#limits?.delete(limit);
    this.#openLoans--;
    if (!kept) return;
    this.#grants++;
    // The end of the stream ends this hold.
    if (this.#holds === 0 && this.#hasReader) this.#holds = 1;
  }

  /** A call that lends it has ended. */
  ended(): void {
    this.#loans--;
    this.#endUnread();
    this.#settle();
  }

  /** Ends a stream that cannot be read any more, and was not. */
  #endUnread(): void {
    if (this.#holds === 0 && this.#loans === 0 && !this.#isReading) {
      this.#endReading?.();
    }
  }

  /** What programs get: the same as long as one of them has it. */
  value(): CallbackFunction | CallbackStream {
    let value = this.#value?.deref();
    if (value === undefined) {
      // What was held by the last one is not held any more.
      this.#holds = 0;
      const kind = kindOf(this.id);
      value = kind === "function"
        ? this.#toFunction()
        : this.#toStream(kind !== "values");
      this.#value = new WeakRef(value);
      this.functions.watch(value, this);
    }
    return value;
  }

  /** No program has it any more. */
  unreachable(): void {
    if (this.#value?.deref() !== undefined) return;
    this.#holds = 0;
    this.#endReading?.();
    this.#settle();
  }

  /**
   * Throws unless it can be called.
   *
   * @throws {RpcError} `released`
   */
  check(what: string): void {
    if (this.#loans === 0 && this.#holds === 0) throw this.#gone(what);
  }

  #toFunction(): CallbackFunction {
    return this.#withLife((...args: unknown[]) => this.#call(args));
  }

  #call(args: unknown[]): RemoteCall {
    try {
      this.check("call");
    } catch (error) {
      return this.#remoteCall(Promise.reject(error));
    }
    const response = this.#request(callArguments(args));
    this.#calls++;
    const done = () => this.#callEnded();
    response.then(done, done);
    return this.#remoteCall(response);
  }

  #request(args: unknown): Promise<RpcResponse> {
    const parent = this.#parent();
    const { around } = this.functions;
    // Streams are not calls that a program makes.
    if (around !== undefined && kindOf(this.id) === "function") {
      return around.call(this.id, (options) =>
        this.caller.request(
          this.id,
          args,
          parent === undefined ? options : { ...options, parent },
        ));
    }
    return parent === undefined
      ? this.caller.request(this.id, args)
      : this.caller.request(this.id, args, { parent });
  }

  /**
   * The call that has to answer before a call of this is of no more use: of those
   * that lend it, the one with the most time. There is none if something else may
   * use it for longer.
   */
  #parent(): Call | undefined {
    const limits = this.#limits;
    if (limits === undefined || limits.size < this.#loans || this.#holds > 0) {
      return undefined;
    }
    let latest: Call | undefined;
    for (const call of limits) {
      if (!((call.deadline ?? 0) <= (latest?.deadline ?? -1))) latest = call;
    }
    return latest;
  }

  /** The peer's function must not end the process by failing. */
  #remoteCall(response: Promise<RpcResponse>): RemoteCall {
    const { functions, origin } = this;
    return new RemoteCall(
      response,
      this.name,
      undefined,
      (error) => functions.report(error, origin),
    );
  }

  #callEnded(): void {
    this.#calls--;
    this.#settle();
  }

  #toStream(bytes: boolean): CallbackStream {
    this.functions.openStream();
    const { origin } = this;
    let values: AsyncIterator<unknown> | undefined;
    const next = async () => {
      if (this.#endReading !== close) throw this.#gone("read");
      if (values === undefined) {
        this.check("read");
        values = this.#begin()[Symbol.asyncIterator]();
      }
      let value: unknown;
      try {
        ({ value } = await values.next());
      } catch (error) {
        throw namedAfterOrigin(error, nameAfter(this.id, origin), origin);
      }
      if (this.#endReading !== close) throw this.#gone("read");
      return value;
    };
    const close = () => {
      values?.return?.().catch(() => {});
      if (this.#endReading === close) this.#finish();
    };
    this.#endReading = close;
    return this.#withLife(receivedStream({ next, close }, bytes));
  }

  /** Calls the function that streams. */
  #begin(): RemoteCall {
    const response = this.#request([]);
    this.#begun = true;
    this.#isReading = true;
    this.#calls++;
    return new RemoteCall(response, this.name);
  }

  /** Nothing more will be read. */
  #finish(): void {
    this.#endReading = undefined;
    this.functions.closeStream();
    this.#holds = 0;
    this.#begun = true;
    if (this.#isReading) this.#calls--;
    this.#isReading = false;
    this.#settle();
  }

  /** Adds what every function and stream of a peer has. */
  #withLife<T extends object>(value: T): T & CallbackLife {
    const release = () => this.#release();
    const life = {
      retain: () => {
        this.#retain();
        return value;
      },
      release,
      [Symbol.dispose]: release,
      [remoteKey]: this,
    };
    for (const key of Reflect.ownKeys(life)) {
      Object.defineProperty(value, key, {
        value: life[key as keyof typeof life],
        configurable: true,
        writable: true,
      });
    }
    return value as T & CallbackLife;
  }

  #retain(): void {
    if (this.#openLoans === 0 && this.#grants === 0) throw this.#gone("retain");
    this.#holds++;
  }

  #release(): void {
    if (this.#holds > 0) this.#holds--;
    if (this.#holds === 0 && this.#loans === 0) this.#endReading?.();
    this.#settle();
  }

  /** Gives back what is not held any more. */
  #settle(): void {
    if (this.#holds > 0 || this.#calls > 0) return;
    const count = this.#grants;
    if (count > 0) {
      this.#grants = 0;
      if (this.functions.peerExtended) {
        releaseSoon(this.id, this.caller, count);
      }
    }
    if (this.#loans === 0 && this.#value?.deref() === undefined) {
      this.functions.forget(this);
    }
  }

  #gone(what: string): RpcError {
    const kind = kindOf(this.id) === "function" ? "callback" : "stream";
    return new RpcError(
      "released",
      `Cannot ${what} ${kind} of "${
        printableText(this.origin)
      }": it was released, or not kept with retain() before that call was answered`,
    );
  }
}

/**
 * The error of a stream that came with a call or with its response, named after
 * that call: the stream's own call is of its ID, of which programs know nothing.
 *
 * @param id the ID of the stream
 * @param selector the selector of the call that it came with
 */
function namedAfterOrigin(
  error: unknown,
  id: string,
  selector: string,
): unknown {
  // Its text is what the peer has sent.
  if (error instanceof RemoteError) return Object.assign(error, { selector });
  if (!isOurs(error)) return error;
  const { message } = error;
  const own = `, in call "${id}"`;
  const text = message.endsWith(own) ? message.slice(0, -own.length) : message;
  return copyOf(
    error,
    `${text}, in a stream of call "${printableText(selector)}"`,
  );
}
