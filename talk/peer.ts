import { type Carried, type Codec, json } from "../codec/internal.ts";
import {
  type ConnectionInfo,
  connectionLost,
  echoed,
  MuxError,
  type PeerTransport,
  type PeerWay,
  type RawChannel,
  type RawSession,
  rawSession,
  type Session,
  sessionClosed,
} from "../mux/internal.ts";
import { callHook } from "../call_hook.ts";
import {
  checkFunctions,
  checkList,
  checkMethods,
  checkObject,
} from "../check_option.ts";
import { limitWait, settlesWithin } from "../time_limit.ts";
import { printableText } from "../printable_text.ts";
import {
  type Caller,
  type CallingPeer,
  type CallOptions,
  ChannelPool,
  channelPool,
  checkHandler,
  Client,
  type Handler,
  invoke,
  LazyServer,
  type Middleware,
  MiddlewareList,
  notFound,
  type Remote,
  remoteOf,
  Router,
  type RpcResponse,
  type ServerOptions,
  SessionState,
} from "../rpc/internal.ts";
import { checkCloseOptions, type CloseOptions } from "./close_options.ts";
import { errorPrinter } from "./errors.ts";
import {
  admit,
  type CertificateOptions,
  dialed,
  listenerCertificate,
  loadedServer,
  type LoadedServerOption,
  uses,
} from "./peer_keys.ts";
import { type PeerLimits, resolvePeerLimits } from "./peer_limits.ts";
import type { PeerStats } from "./peer_stats.ts";
import { checkObserver, type ObserverOption } from "./observe/option.ts";

/** The second argument of {@linkcode PeerOptions.onError}. */
export interface ErrorContext {
  /** The peer on which the error occurred; undefined for an error of a listener. */
  peer: Peer | undefined;
  /** The selector of the call, if the error belongs to one. */
  selector: string | undefined;
}

/**
 * Options of a peer.
 *
 * @typeParam C what its codec carries besides JSON's values
 * @typeParam Context what `handler` expects of `call.peer.context`
 */
export interface PeerOptions<C extends Carried = Carried, Context = unknown>
  extends PeerLimits {
  /**
   * Encodes and decodes values in both directions. The other side must use the
   * same codec. Default: `json()`.
   */
  codec?: Codec<C> | undefined;
  /**
   * Several codecs in place of one `codec`. An incoming call is decoded and
   * answered with the codec that the first byte of its header indicates, and
   * its `call.caller` uses the same one. This side makes its calls with the
   * first codec. Default: the one `codec`.
   */
  codecs?: readonly [Codec<C>, ...Codec[]] | readonly Codec[] | undefined;
  /**
   * Answers the calls that match no pattern of `handle()`. Default: such calls
   * fail with `not found: ...`.
   */
  handler?: Handler<Context> | undefined;
  /**
   * Called with bugs in handlers, which are all errors that they throw except a
   * `CallError`, and with errors that no promise of the program can report: a
   * session that ended with an error, a call header that could not be decoded, a
   * call of a callback that failed and was not awaited (with the selector of the
   * call that the callback came with), and what `onConnect` throws, or a function
   * that gives the address or an option of an attempt. Errors that the caller causes
   * are not reported, such as arguments that cannot be decoded, or a call that it has
   * cancelled; nor are `RemoteError`s that a handler passes on.
   *
   * Default: bugs in handlers are printed to standard error with their stacks, at
   * most 20 in ten seconds; the other errors are ignored.
   */
  onError?: ((error: unknown, context: ErrorContext) => void) | undefined;
  /**
   * For development: the stack of every error of a call says where the call was
   * made. Without this option, the stack has only the functions that await the call
   * when it fails, which costs nothing, and none if nothing awaits it. With it, a
   * call takes about twice as long. Default: false.
   */
  callStacks?: boolean | undefined;
}

/**
 * A peer whose `context` has a type: what `onPeer` of its listener returned.
 *
 * @typeParam C what its codec carries besides JSON's values
 * @typeParam Context the type of the context
 */
export type PeerWith<
  C extends Carried = Carried,
  Context = unknown,
> = unknown extends Context ? Peer<C>
  : Peer<C> & CallingPeer<Context>;

/** What the header of a call says that is made with `call.caller`. */
const NESTED = Object.freeze({ nested: true });

/** Milliseconds that closing waits for a module without which an error is lost. */
const CLOSING_LOAD_TIMEOUT = 1_000;

/**
 * The codec of peers whose programs name none: one for all, because a codec has no
 * state that matters to the next value.
 */
let usual: Codec | undefined;

function usualCodec(): Codec {
  return usual ??= json();
}

/**
 * Checks the options of a peer, and returns its limits.
 *
 * @throws {RangeError} if a limit is out of range
 * @throws {TypeError} if `handler`, `codec`, `codecs`, `observer` or `onError` is not
 * what its name says
 */
export function checkPeerOptions<C extends Carried, Context>(
  options: PeerOptions<C, Context> & ObserverOption,
): Record<keyof PeerLimits, number> {
  checkObject("options of peer", options);
  const limits = resolvePeerLimits(options);
  checkObserver(options);
  checkFunctions(options, "onError");
  const { handler, codec, codecs = [] } = options;
  if (handler !== undefined) checkHandler(handler, 'use option "handler"');
  if (codec !== undefined) checkCodec("codec", codec);
  checkList("codecs", codecs);
  for (const one of codecs) checkCodec("codecs", one);
  return limits;
}

function checkCodec(name: string, codec: Codec): void {
  const expected = "a codec; write json()";
  checkMethods(`option "${name}"`, codec, expected, "encode", "decode");
}

/**
 * One end of a session: it calls the other end and answers its calls, from the
 * moment it is made. `dial()`, `listen()`, `dialCommand()` and `memoryPair()`
 * make peers.
 *
 * @example
 * ```ts
 * import { memoryPair } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * const [client, server] = memoryPair();
 * await using _ = client;
 * server.handle("ping", (_call, respond) => respond.return("pong"));
 * assertEquals(await client.call("ping"), "pong");
 * ```
 *
 * @typeParam C what its codec carries besides JSON's values, which determines the
 * types of {@linkcode Peer.remote}; any peer is also a `Peer` without `C`
 */
export class Peer<C extends Carried = Carried>
  implements Caller<C>, CallingPeer, AsyncDisposable {
  /**
   * Not set: it makes `C` part of the type.
   *
   * @ignore
   */
  declare readonly carries?: C | undefined;
  /** The session. Its incoming channels belong to the peer. */
  readonly session: Session;
  /**
   * What the program knows about the other side: what `onPeer` of the listener
   * returned, or what the program sets. Handlers get it as `call.peer.context`.
   */
  context: unknown = undefined;
  readonly #raw: RawSession;
  #router: Router | undefined;
  readonly #client: Client;
  readonly #state: SessionState;
  readonly #server: LazyServer;
  readonly #serverOptions: ServerOptions;
  #middleware: MiddlewareList | undefined;
  /** @ignore */
  readonly [channelPool]: ChannelPool;
  readonly #report: (error: unknown, selector: string | undefined) => void;
  #remoteAddr = "";
  #addr = "";
  /** Knows the way, if there are two. */
  #via: Pick<ConnectionInfo, "way"> | undefined;
  #listenerCertificate: CertificateOptions | undefined;
  /** Whether the program has closed the peer. */
  #closeCalled = false;
  /** Whether this side closes the session. */
  #closing = false;
  /** Why the session has ended. */
  #end: { reason: unknown } | undefined;
  #abort: AbortController | undefined;

  /**
   * Makes a peer that owns the session.
   *
   * @param session a session whose channels are not accepted by anything else
   * @param options codec, handler and limits
   * @throws {RangeError} if an option is out of range
   * @throws {TypeError} if `handler`, `codec` or `codecs` is of the wrong type
   * @throws {MuxError} `invalid-state` if the session's channels are accepted
   */
  constructor(session: Session, options: PeerOptions<C> = {}) {
    const limits = checkPeerOptions(options);
    const {
      codec = usualCodec(),
      codecs = [codec],
      handler: fallback = notFound,
      onError = errorPrinter(),
      callStacks = false,
    } = options;
    const { maxValueSize, maxCallbacks } = limits;
    this.session = session;
    const raw = this.#raw = rawSession(session);
    const { account } = raw;
    const channels = new ChannelPool(raw, limits);
    this[channelPool] = channels;
    const state = this.#state = new SessionState(maxCallbacks, account);
    state.peer = this;
    state.traffic = raw;
    state.maxMetaSize = limits.maxMetaSize;
    state.refusesPings = raw.refusesPings ?? false;
    const [first = codec] = codecs;
    const common = { maxValueSize, account, state, callStacks };
    this.#client = new Client(channels, { codec: first, ...common });
    let other: Client | undefined;
    raw.onSilence = () => {
      const { peerCodec = first } = state;
      if (peerCodec === first) return this.#client.ping();
      // The peer may accept no other codec than that of its calls.
      other ??= new Client(channels, { codec: peerCodec, ...common });
      return other.ping();
    };
    const report = this.#report = (error, selector) =>
      callHook(() => onError(error, { peer: this, selector }));
    state.onError = report;
    state.onEcho = () => raw.refuse?.(echoed());
    const serverOptions: ServerOptions = {
      codecs: codecs.length === 0 ? [first] : codecs,
      maxValueSize,
      account,
      maxConcurrentCalls: limits.maxConcurrentCalls,
      maxQueuedCalls: limits.maxQueuedCalls,
      callQueueTimeout: limits.callQueueTimeout,
      state,
      callerIn: (codec, marked) => {
        const extension = marked ? NESTED : undefined;
        const nested = true;
        return new Client(channels, { codec, ...common, nested, extension });
      },
      handler: (call, respond) => {
        // Most programs give one handler, and call no method of the peer.
        const own = this.#router?.match(call.selector)?.handler;
        return invoke(own ?? fallback, call, respond);
      },
      onError: report,
    };
    this.#serverOptions = serverOptions;
    const loaded = (options as LoadedServerOption)[loadedServer];
    const server = this.#server = new LazyServer(
      serverOptions,
      loaded ?? undefined,
    );
    if (options.handler !== undefined && loaded !== null) server.load();
    state.onLending = () => server.load();
    session.accept((channel) => server.serve(channel as RawChannel));
    session.closed.then(() => this.#ended(undefined), (error) => {
      this.#ended(error);
      report(error, undefined);
    });
  }

  #ended(failure: unknown): void {
    this.#state.close();
    this.#server.end();
    const reason = failure ??
      (this.#closing ? sessionClosed() : connectionLost("the peer ended it"));
    this.#end = { reason };
    this.#abort?.abort(reason);
  }

  /**
   * What a listener does with a new peer: it asks the program, which may take a
   * while, and lets the peer's calls begin afterwards.
   *
   * @returns whether the program admitted the peer, which is closed otherwise
   * @ignore
   */
  [admit](
    connection: Pick<ConnectionInfo, "remoteAddr" | "way">,
    ask: (() => unknown) | undefined,
    certificate?: CertificateOptions,
  ): boolean | Promise<boolean> {
    this.#remoteAddr = connection.remoteAddr;
    if (connection.way !== undefined) this.#via = connection;
    this.#listenerCertificate = certificate;
    if (ask === undefined) return true;
    let context: unknown;
    try {
      context = ask();
    } catch (error) {
      return this.#turnAway(error);
    }
    if (typeof (context as Promise<unknown> | undefined)?.then !== "function") {
      if (context !== undefined) this.context = context;
      return true;
    }
    this.#server.hold();
    return Promise.resolve(context).then(
      (context) => {
        if (context !== undefined) this.context = context;
        this.#server.admit();
        return !this.#raw.ended;
      },
      (error) => this.#turnAway(error),
    );
  }

  /**
   * How many calls there have been, in both directions; `Infinity` while one is
   * under way.
   *
   * @ignore
   */
  get [uses](): number {
    if (this.#isBusy()) return Infinity;
    return this.#server.begun + this[channelPool].taken;
  }

  #turnAway(error: unknown): boolean {
    this.#server.hold();
    // What fails because the peer has left is no mistake of the program.
    const left = this.#raw.ended &&
      (error instanceof MuxError || error === this.#end?.reason);
    if (!left) this.#report(error, undefined);
    void this.close();
    return false;
  }

  /** Calls the other side: see {@linkcode Caller.call}. */
  call(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<unknown> {
    if (this.#state.draining) return Promise.reject(closing(selector));
    return this.#client.call(selector, args, options);
  }

  /** Calls the other side: see {@linkcode Caller.request}. */
  request(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<RpcResponse> {
    if (this.#state.draining) return Promise.reject(closing(selector));
    return this.#client.request(selector, args, options);
  }

  /** The other side's service, as methods: see {@linkcode Caller.remote}. */
  remote<S extends object, D extends Carried = C>(
    options?: CallOptions,
  ): Remote<S, D> {
    return remoteOf<S, D>(this, options);
  }

  /**
   * The address of the other side, if a listener accepted it; empty if it is
   * unknown, and for a peer that this side dialed.
   */
  get remoteAddr(): string {
    return this.#remoteAddr;
  }

  /**
   * The address that `dial()` has connected to, also if it was given several; empty
   * for other peers.
   */
  get addr(): string {
    return this.#addr;
  }

  /**
   * Which way the connection of a `peer:` address takes: from machine to machine,
   * or through the rendezvous. It changes when a relayed session moves to a direct
   * connection. Undefined for other connections.
   */
  get way(): PeerWay | undefined {
    return this.#via?.way;
  }

  /**
   * The options with the certificate that the listener has shown to this peer;
   * undefined if it has none, or if a proxy has decrypted the connection.
   *
   * @ignore
   */
  get [listenerCertificate](): CertificateOptions | undefined {
    return this.#listenerCertificate;
  }

  /**
   * Notes where this side has connected to. It does not know whether a peer is there,
   * so the first call says where it comes from, and is noticed if it comes back.
   *
   * @ignore
   */
  [dialed](address: string, via?: PeerTransport): void {
    this.#addr = address;
    if (via?.way !== undefined) this.#via = via;
    this.#state.markCalls();
  }

  /**
   * The round trip to the other side, in milliseconds; undefined before the first
   * measurement. It is a moving average, as in TCP, of measurements on frames that
   * are sent anyway, or on the pings of a silent connection: see {@linkcode
   * SessionOptions.keepAlive}.
   */
  get rtt(): number | undefined {
    return this.#raw.roundTrip;
  }

  /**
   * Aborts when the session has ended, for any reason: with the error that
   * {@linkcode closed} rejects with, or with `session-closed` if this side closed
   * it, or `connection-lost` if the other side did.
   */
  get signal(): AbortSignal {
    // Made on demand: most programs have no use for it.
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#end !== undefined) this.#abort.abort(this.#end.reason);
    }
    return this.#abort.signal;
  }

  /**
   * The number of functions of this side that the other side can call now, and of
   * streams in arguments and results that it can read.
   */
  get callbackCount(): number {
    return this.#state.callbackCount;
  }

  /** The current figures of the session. */
  get stats(): PeerStats {
    const raw = this.#raw;
    const { channels, held } = raw.usage;
    return {
      bytes: { received: raw.received, sent: raw.sent },
      channels: { open: channels, total: raw.channels.opened },
      calls: {
        total: this.#server.begun,
        answering: this.#server.running,
        waiting: this[channelPool].queued,
      },
      callbacks: this.callbackCount,
      held: held.total,
      rtt: this.rtt,
    };
  }

  /**
   * Answers the calls that match a pattern; see `Router.handle()` for patterns.
   *
   * @returns a disposable that removes the handler
   * @throws {TypeError} if `handler` is not a handler, if the pattern has one, or
   * after `close()`
   */
  handle(pattern: string, handler: Handler): Disposable {
    if (this.#closeCalled) throw handledTooLate(pattern);
    const registered = (this.#router ??= new Router()).handle(pattern, handler);
    this.#server.load();
    return registered;
  }

  /**
   * Puts middleware around the calls of the other side, inside the middleware that
   * was added before. With a pattern, it runs for the calls that match, as for
   * {@linkcode handle}. It also runs for calls that no handler answers, but not for
   * calls of callbacks.
   *
   * @example
   * ```ts
   * import { handlerFrom, memoryPair } from "@qtalk/qtalk";
   * import { assertEquals } from "@std/assert";
   *
   * const [client, server] = memoryPair();
   * await using _ = client;
   * server.handle("double", handlerFrom((n: number) => 2 * n));
   * const log: string[] = [];
   * server.use(async (call, next) => {
   *   const result = await next();
   *   log.push(`${call.selector}: ${result}`);
   *   return result;
   * });
   * assertEquals(await client.call("double", [21]), 42);
   * assertEquals(log, ["/double: 42"]);
   * ```
   *
   * @returns a disposable that removes the middleware
   * @throws {TypeError} if `middleware` is not a function
   */
  use<Context = unknown>(middleware: Middleware<Context>): Disposable;
  /**
   * As above, around the calls that match a pattern.
   *
   * @returns disposing of it removes the middleware
   * @throws {TypeError} if `middleware` is not a function
   */
  use<Context = unknown>(
    pattern: string,
    middleware: Middleware<Context>,
  ): Disposable;
  use(...args: [unknown] | [unknown, unknown]): Disposable {
    const list = this.#middleware ?? new MiddlewareList();
    const added = list.add(args);
    this.#server.load();
    if (this.#middleware === undefined) {
      this.#middleware = list;
      // Without middleware, calls pay nothing for it.
      const options = this.#serverOptions;
      const { handler } = options;
      options.handler = (call, respond) =>
        invoke(list.around(handler, call.selector), call, respond);
    }
    return added;
  }

  /**
   * Resolves when either side has closed the session; rejects with a `MuxError`
   * if it ended otherwise. It never causes an unhandled rejection.
   */
  get closed(): Promise<void> {
    return this.session.closed;
  }

  /**
   * Closes the session. Queued data is sent first, within the session's
   * `closeTimeout`; pending calls of this side reject with
   * `session-closed`, and the signals of the calls being handled abort.
   * Idempotent.
   *
   * With `drainTimeout`, it first waits until the calls in progress have ended, in
   * both directions and including continued calls. Meanwhile this side cannot make
   * calls, which reject with `session-closed`, except those that a handler makes
   * with `call.caller`; calls of the other side are refused with `unavailable: ...`
   * and not handled. The wait ends early if `signal` aborts or if `close()` is
   * called without `drainTimeout`; neither makes `close()` reject. A handler must
   * not await it: it would wait for its own call.
   *
   * @param options whether to wait for calls in progress
   * @throws {RangeError} if `drainTimeout` is out of range
   * @throws {TypeError} if `signal` is not an `AbortSignal`
   */
  async close(options: CloseOptions = {}): Promise<void> {
    checkCloseOptions(options);
    this.#closeCalled = true;
    if (options.drainTimeout) await this.#drain(options.drainTimeout, options);
    const { loadingToSend } = this.#state;
    if (loadingToSend !== undefined) {
      this.#refuseCalls();
      await settlesWithin(CLOSING_LOAD_TIMEOUT, loadingToSend);
    }
    // The session may have ended by itself.
    if (!this.#raw.ended) this.#closing = true;
    await this.session.close();
  }

  /** Same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Lets neither side begin a call: the session is about to close. */
  #refuseCalls(): void {
    this.#state.draining = true;
    this.#server.refuse();
  }

  /** Waits until no call is in progress, or the wait ends early. */
  async #drain(timeout: number, { signal }: CloseOptions): Promise<void> {
    this.#refuseCalls();
    let ended = false;
    let wake = () => {};
    const end = () => {
      ended = true;
      wake();
    };
    this.session.closed.then(end, end);
    const cancel = limitWait({ signal, timeout }, end);
    this.#state.onIdle = () => wake();
    while (!ended && this.#isBusy()) {
      await new Promise<void>((resolve) => {
        wake = resolve;
        void this.#raw.channels.whenSlotFreed().then(resolve);
      });
    }
    cancel();
  }

  /** Whether there are channels other than the spare ones. */
  #isBusy(): boolean {
    const { unused, queued } = this[channelPool];
    return queued > 0 ||
      this.session.usage.slots > this.#server.idle + unused;
  }
}

function closing(selector: string): MuxError {
  return new MuxError(
    "session-closed",
    `Cannot make call "${selector}": peer is closing`,
  );
}

/**
 * The error of `handle()` after `close()`.
 *
 * @param pattern what it was to handle
 */
export function handledTooLate(pattern: string): TypeError {
  return new TypeError(
    `Cannot handle "${
      printableText(String(pattern))
    }": the peer is closed; call handle() before close(), or give the option "handler"`,
  );
}
