import type { Codec, ValueWeight } from "../codec/internal.ts";
import {
  type MemoryAccount,
  originOf,
  type RawSession,
} from "../mux/internal.ts";
import type { CallbackRoutes } from "./callback/callback_routes.ts";
import { CallbackTable } from "./callback/callback_table.ts";
import { kindOf, newPrefix } from "./callback/pointers.ts";
import type {
  AroundCallbacks,
  RemoteFunctions,
} from "./callback/remote_function.ts";
import { loadPart } from "./errors.ts";
import { functionHandler, needAnswering } from "./handler/function_handler.ts";
import type { CallingPeer, Handler } from "./types.ts";
import { DEFAULT_MAX_META_SIZE } from "./wire/metadata.ts";
import { cleanSelector } from "./wire/selector.ts";

const UNDERSCORE = 0x5f;

/** What a header in a cache counts as, in bytes: at most 128, decoded as well. */
const HEADER_SIZE = 512;

/** What receives functions and streams of the peer. */
type Receiving = typeof import("./callback/received.ts");

/** What a call becomes whose response continues. */
type Continuing = typeof import("./client/continued_call.ts");

/** What a session loads when it is first needed. */
interface Parts {
  receiving: Receiving;
  continuing: Continuing;
}

/** What all calls of one session share, in both directions. */
export class SessionState {
  /**
   * Whether the peer is extended: one of its headers had the field `Q`. Parts of
   * the protocol that the reference does not have are used only with such peers.
   */
  peerExtended = false;
  /** The codec of the latest call of the peer; undefined before the first. */
  peerCodec: Codec | undefined;
  /** Whether the peer has asked not to be pinged. */
  peerRefusesPings = false;
  /** Whether this side asks the peer not to ping it; set before the first call. */
  refusesPings = false;
  /** What the next call says of where it comes from. */
  nextMark: string | undefined;
  /** The call that has said it, or will when it is sent. */
  markedCall: WeakRef<object> | undefined;
  #mark: string | undefined;
  /** Ends the session with the error for an end that is not a peer. */
  onEcho: (() => void) | undefined;
  readonly #maxCallbacks: number;
  #prefix: string | undefined;
  /** Made with the first function that this side lends, as few sessions do. */
  #callbacks: CallbackTable | undefined;
  /** Called with the handlers of functions whose calls are to end. */
  onGivenUp:
    | ((handlers: ReadonlySet<Handler>, reason: unknown) => void)
    | undefined;
  /** Called when this side lends its first function, which the peer may call. */
  onLending: (() => void) | undefined;
  /** What receives functions and streams of the peer, once it was loaded. */
  receiving: Receiving | undefined;
  /** What continues calls, once it was loaded. */
  continuing: Continuing | undefined;
  #loading: { [Name in keyof Parts]?: Promise<Parts[Name]> } | undefined;
  /** The module without which something cannot be sent: closing waits for it. */
  loadingToSend: Promise<unknown> | undefined;
  /** Made with the first function that the peer lends. */
  #remotes: RemoteFunctions | undefined;
  /**
   * Where calls of functions go whose calls this side has forwarded; undefined until
   * it forwards such a call.
   */
  routes: CallbackRoutes | undefined;
  /** Whether the session has ended. */
  ended = false;
  /** Whether no channel may have another call, because this side is about to close. */
  draining = false;
  /** Called when a call has ended and its channel stays open. */
  onIdle: (() => void) | undefined;
  /** What is around calls of functions, in both directions. */
  around: AroundCallbacks | undefined;
  /** What has to be done when the session ends. */
  #onEnd: Set<() => void> | undefined;

  /** The peer that owns the session; set before the first call arrives. */
  peer: CallingPeer | undefined;
  /** What has passed over the session so far; set before the first call arrives. */
  traffic: Pick<RawSession, "received" | "sent" | "channels"> | undefined;
  /** The limit for the metadata of a header, in bytes. */
  maxMetaSize: number = DEFAULT_MAX_META_SIZE;
  /** What the session may hold. */
  readonly account: MemoryAccount;
  /** Where the weight of a decoded value is put; to be read at once. */
  readonly weight: ValueWeight = { bytes: 0 };
  /**
   * Called with errors that no promise reports, or that are bugs of a handler, and
   * the selector of the call.
   */
  onError: (error: unknown, selector: string | undefined) => void = () => {};
  #peersFaults: WeakSet<object> | undefined;
  /** Called when decoded arguments are held no more. */
  onArgumentsFreed: (() => void) | undefined;
  #now: number | undefined;
  readonly #forgetNow = (): void => {
    this.#now = undefined;
  };
  /** Bytes of the headers that are remembered. */
  #headers = 0;

  /** Makes the state of a session that may lend `maxCallbacks` functions. */
  constructor(maxCallbacks: number, account: MemoryAccount) {
    this.account = account;
    this.#maxCallbacks = maxCallbacks;
  }

  /** What the IDs of all functions of this side begin with. */
  get prefix(): string {
    return this.#prefix ??= newPrefix();
  }

  /** The functions that this side lends to the peer; made when it is first used. */
  get callbacks(): CallbackTable {
    if (this.#callbacks === undefined) {
      this.#callbacks = new CallbackTable(
        this.#maxCallbacks,
        (fn) => functionHandler(fn, undefined),
        this.account.callbacks,
        this,
      );
      needAnswering();
      this.onLending?.();
    }
    return this.#callbacks;
  }

  /** How many functions this side lends to the peer. */
  get callbackCount(): number {
    return this.#callbacks?.size ?? 0;
  }

  /** What this side sent under an ID, and the peer gives back; else undefined. */
  originalOf(id: string): unknown {
    return this.#callbacks?.original(id);
  }

  /**
   * Loads what receives functions and streams of the peer.
   *
   * @throws {RpcError} `load-failed`
   */
  loadReceiving(): Promise<Receiving> {
    return this.#load("receiving", "receive function", this.importReceiving);
  }

  /**
   * Loads what continues calls.
   *
   * @throws {RpcError} `load-failed`
   */
  loadContinuing(): Promise<Continuing> {
    return this.#load("continuing", "receive response", this.importContinuing);
  }

  /** Loads a part once, whatever needs it first; again if it could not be loaded. */
  #load<Name extends keyof Parts>(
    name: Name,
    what: string,
    start: () => Promise<Parts[Name]>,
  ): Promise<Parts[Name]> {
    const loading: { [name in Name]?: Promise<Parts[Name]> } = this.#loading ??=
      {};
    return loading[name] ??= loadPart(what, start.call(this)).then(
      (part) => (this as Partial<Parts>)[name] = part,
      (error) => {
        // The next one that needs it may find the network back.
        delete loading[name];
        throw error;
      },
    );
  }

  /** Imports what receives functions; a method so that tests can replace it. */
  importReceiving(): Promise<Receiving> {
    return import("./callback/received.ts");
  }

  /** Imports what continues calls; a method so that tests can replace it. */
  importContinuing(): Promise<Continuing> {
    return import("./client/continued_call.ts");
  }

  /** The functions that the peer lends to this side; to be loaded before. */
  get remotes(): RemoteFunctions {
    return this.#remotes ??= new this.receiving!.RemoteFunctions(this);
  }

  /** The ID of a function or stream of the peer that can be given back to it. */
  idOf(value: object): string | undefined {
    return this.#remotes?.idOf(value);
  }

  /**
   * `performance.now()` for the calls that arrive or begin in one piece of code: one
   * chunk of bytes can bring many calls, and reading the clock takes a fiftieth of
   * the time of a call.
   */
  now(): number {
    if (this.#now === undefined) {
      this.#now = performance.now();
      queueMicrotask(this.#forgetNow);
    }
    return this.#now;
  }

  /**
   * Lets the first call say where it comes from, so that it is noticed if it comes
   * back.
   */
  markCalls(): void {
    this.#mark = this.nextMark = this.prefix;
  }

  /** A call has failed before it was sent: if it was the marked one, the next is. */
  notSent(call: object): void {
    if (call === this.markedCall?.deref()) this.markCalls();
  }

  /** Whether a call of this side has come back. */
  isOwn(mark: string): boolean {
    return mark === this.#mark;
  }

  /** An error of a call that a handler of this side made to its caller. */
  blamePeer(error: unknown): void {
    if (typeof error !== "object" || error === null) return;
    (this.#peersFaults ??= new WeakSet()).add(error);
  }

  /**
   * Whether the peer is the cause of an error: {@linkcode blamePeer} got it, or what
   * it is a copy of.
   */
  isPeersFault(error: object): boolean {
    const faults = this.#peersFaults;
    if (faults === undefined) return false;
    for (let next: object | undefined = error; next; next = originOf(next)) {
      if (faults.has(next)) return true;
    }
    return false;
  }

  /** Calls back when the session ends; returns what cancels that. */
  onEnd(callback: () => void): () => void {
    const callbacks = this.#onEnd ??= new Set();
    callbacks.add(callback);
    return () => callbacks.delete(callback);
  }

  /**
   * The handler for a selector that calls or releases a callback, of this side or
   * one that this side forwards; undefined for any other selector.
   */
  handlerOfCallback(selector: string): Handler | undefined {
    // Method names seldom begin with an underscore.
    if (selector.charCodeAt(1) !== UNDERSCORE) return undefined;
    return this.#callbacks?.match(selector) ?? this.routes?.match(selector);
  }

  /**
   * The handler of a function of this side, with what is around it; the handler
   * itself for other callbacks, such as streams.
   */
  withAround(handler: Handler, selector: string): Handler {
    const { around } = this;
    const id = selector.slice(1);
    return around !== undefined && kindOf(id) === "function" &&
        this.#callbacks?.originOf(selector) !== undefined
      ? around.handler(handler)
      : handler;
  }

  /** What programs know the call of a selector by: that of a callback has an ID. */
  nameOf(selector: string): string {
    return this.#remotes?.nameOf(selector) ??
      this.#callbacks?.nameOf(selector) ?? selector;
  }

  /** The selector of the call that functions in a call of `selector` come with. */
  originOf(selector: string): string {
    return this.#remotes?.originOf(selector) ??
      this.#callbacks?.originOf(selector) ?? cleanSelector(selector);
  }

  /** Counts a header that a cache of the session remembers. */
  readonly rememberHeader = (): void => {
    this.#headers += HEADER_SIZE;
    this.account.headers.take(HEADER_SIZE);
  };

  /** The session has ended: gives back what it held for all calls. */
  close(): void {
    this.ended = true;
    this.#callbacks?.close();
    this.#remotes?.close();
    for (const callback of this.#onEnd ?? []) callback();
    this.#onEnd?.clear();
    this.routes?.close();
    this.onArgumentsFreed?.();
    this.account.headers.give(this.#headers);
    this.#headers = 0;
  }
}
