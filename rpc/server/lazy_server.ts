import { type Codec, PREFIX_SIZE, ValueWriter } from "../../codec/internal.ts";
import {
  nextTurn,
  OFFERED_PER_TURN,
  type RawChannel,
} from "../../mux/internal.ts";
import { LOAD_TIMEOUT, loadedTooLate, timeLimit } from "../../time_limit.ts";
import { loadFailed } from "../errors.ts";
import { loadAnsweringIfNeeded } from "../handler/function_handler.ts";
import { responseHeaderValue } from "../wire/headers/response_header.ts";
import type { Server, ServerOptions } from "./server.ts";

/** Loads the server, and with it what the handlers of the program need to answer. */
export async function loadServer(): Promise<typeof Server> {
  // Not destructured: a variable named `Server` would hide the type in declarations.
  const [part] = await Promise.all([
    import("../internal_server.ts"),
    loadAnsweringIfNeeded(),
  ]);
  return part.Server;
}

/**
 * The server of a session, which is loaded when it is needed: when the program gives
 * a handler, or when the peer makes its first call. Many programs only make calls.
 *
 * What arrives before that stays unread in its channel, within the limits of the
 * session, and is answered in the order in which it arrived. A call that its caller
 * closes meanwhile never begins.
 */
export class LazyServer {
  readonly #options: ServerOptions;
  readonly #loadClass: () => Promise<typeof Server>;
  readonly #timeout: number;
  /** The class, once it is loaded. */
  #class: typeof Server | undefined;
  /** Made for the first channel: through many sessions, no calls come. */
  #server: Server | undefined;
  #loading = false;
  #held = false;
  #refusing = false;
  #ended = false;
  /** Channels without a call, and what is called when one arrives. */
  #silent: Map<RawChannel, () => void> | undefined;
  /**
   * Channels with calls that wait until the server is loaded, and what is called when
   * one closes.
   */
  #waiting: Map<RawChannel, () => void> | undefined;
  /** Cancels the limit on how long they wait. */
  #cancelLimit: (() => void) | undefined;

  /**
   * Makes the place of a server.
   *
   * @param options those of the server
   * @param loaded the class, if it is loaded already
   * @param load loads it. Default: from this package
   * @param timeout milliseconds that calls wait for that. Default: 10,000
   */
  constructor(
    options: ServerOptions,
    loaded: typeof Server | undefined,
    load: () => Promise<typeof Server> = loadServer,
    timeout = LOAD_TIMEOUT,
  ) {
    this.#options = options;
    this.#timeout = timeout;
    this.#loadClass = load;
    this.#class = loaded;
  }

  /** How many channels wait for a call. */
  get idle(): number {
    return (this.#server?.idle ?? 0) + (this.#silent?.size ?? 0);
  }

  /** How many calls run, besides those of callbacks. */
  get running(): number {
    return this.#server?.running ?? 0;
  }

  /** How many calls have begun. */
  get begun(): number {
    return this.#server?.begun ?? 0;
  }

  /** As {@linkcode Server.refuse}. */
  refuse(): void {
    this.#refusing = true;
    this.#server?.refuse();
  }

  /** As {@linkcode Server.hold}. */
  hold(): void {
    this.#held = true;
    this.#server?.hold();
  }

  /** As {@linkcode Server.admit}. */
  admit(): void {
    this.#held = false;
    this.#server?.admit();
  }

  /** Answers the calls on a channel that the peer opened, one after the other. */
  serve(channel: RawChannel): void {
    const server = this.#server;
    // Those that wait come first.
    if (server !== undefined && this.#waiting === undefined) {
      return server.serve(channel);
    }
    if (server === undefined && this.#class !== undefined) {
      return this.#make(this.#class).serve(channel);
    }
    const silent = this.#silent ??= new Map();
    const arrived = () => {
      silent.delete(channel);
      this.#arrived(channel);
    };
    silent.set(channel, arrived);
    channel.whenReadable(arrived);
  }

  /** Begins to load the server, so that the first call need not wait for it. */
  load(): void {
    if (this.#loading || this.#class !== undefined) return;
    this.#loading = true;
    this.#loadClass().then(
      (loaded) => this.#loaded(loaded),
      (error) => this.#failed(error),
    );
  }

  /** The session has ended: its calls that have not begun never will. */
  end(): void {
    this.#ended = true;
    this.#cancelLimit?.();
  }

  #arrived(channel: RawChannel): void {
    const { buffered, failure, peerClosed } = channel;
    if (buffered > 0 && !peerClosed) return this.#wait(channel);
    // The peer has opened it ahead of need, and had no need.
    if (buffered === 0 && failure === undefined) channel.shutdown();
    else channel.discard();
  }

  /** Lets a call wait until the server is loaded, or its channel closes. */
  #wait(channel: RawChannel): void {
    const waiting = this.#waiting ??= new Map();
    const drop = () => {
      waiting.delete(channel);
      channel.discard();
    };
    waiting.set(channel, drop);
    channel.whenClosed(drop);
    // It may be loaded, and others still have their turn first.
    if (this.#class !== undefined) return;
    this.#cancelLimit ??= timeLimit(this.#timeout, () => this.#tooLate());
    this.load();
  }

  #make(loaded: typeof Server): Server {
    const server = this.#server = new loaded(this.#options);
    if (this.#held) server.hold();
    if (this.#refusing) server.refuse();
    return server;
  }

  #loaded(loaded: typeof Server): void {
    this.#cancelLimit?.();
    this.#class = loaded;
    if (this.#waiting?.size || this.#silent?.size) {
      void this.#serveWaiting(this.#make(loaded));
    } else this.#waiting = undefined;
  }

  /**
   * Serves the channels that have waited. The event loop turns between large calls
   * or answers, as it does when calls arrive: each may take long to decode or encode.
   */
  async #serveWaiting(server: Server): Promise<void> {
    const { responses } = this.#options.account;
    let offered = -responses.held;
    // Calls that arrive meanwhile are added at its end.
    for (const [channel, drop] of this.#waiting ?? []) {
      if (offered + responses.held >= OFFERED_PER_TURN) {
        await nextTurn();
        if (this.#ended) return;
        offered = -responses.held;
      }
      offered += channel.buffered;
      this.#waiting!.delete(channel);
      channel.cancelWhenClosed(drop);
      server.serve(channel);
    }
    const silent = this.#silent;
    this.#waiting = this.#silent = undefined;
    for (const [channel, arrived] of silent ?? []) {
      channel.cancelWhenReadable(arrived);
      server.serve(channel);
    }
  }

  /** The next call tries again. */
  #failed(cause: unknown): void {
    this.#loading = false;
    this.#cancelLimit?.();
    this.#refuseWaiting(cause);
  }

  /** To load it again would wait for the same: modules are loaded once. */
  #tooLate(): void {
    this.#cancelLimit = undefined;
    if (!this.#waiting?.size) return;
    this.#refuseWaiting(loadedTooLate(this.#timeout));
  }

  /** The calls that wait fail. */
  #refuseWaiting(cause: unknown): void {
    const { onError, codecs, state } = this.#options;
    const waiting = this.#waiting;
    this.#waiting = this.#cancelLimit = undefined;
    for (const [channel, drop] of waiting ?? []) {
      channel.cancelWhenClosed(drop);
      answerUnavailable(channel, codecOf(channel, codecs), state.peerExtended);
    }
    onError(loadFailed("answer calls", cause), undefined);
  }
}

/** The codec of an unread call, by the first byte of its header. */
function codecOf(channel: RawChannel, codecs: readonly Codec[]): Codec {
  const first = channel.peek()?.[PREFIX_SIZE];
  const [usual] = codecs;
  if (first === undefined) return usual!;
  return codecs.find((codec) => codec.beginsMap?.(first)) ?? usual!;
}

/** Answers a call of which not even the header was read. */
function answerUnavailable(
  channel: RawChannel,
  codec: Codec,
  extended: boolean,
): void {
  const message = new ValueWriter();
  const error = "unavailable: this side cannot load what answers calls";
  const nothing = { name: undefined, details: undefined, causes: undefined };
  const about = { code: "unavailable", ...nothing };
  const header = { error, about, continued: false };
  const extension = extended ? { keptIds: [] } : undefined;
  message.add(codec, responseHeaderValue(header, extension));
  message.add(codec, null);
  try {
    channel.send(message.message())?.catch(() => {});
  } catch {
    // The caller has gone.
  }
  channel.shutdown();
}
