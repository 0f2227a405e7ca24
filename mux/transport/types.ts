/**
 * What a scheme of addresses (`tcp:`, `unix:`, …) implements.
 *
 * @module
 */
import type { MemoryAccount } from "../flow/memory_account.ts";
import type { QuicEndpointLike } from "../quic/types.ts";
import type { SessionOptions } from "../options.ts";
import type { Session, Transport } from "../types.ts";

/** What is known about the TLS of a connection. */
export interface TlsInfo {
  /**
   * The protocol that both sides agreed on by ALPN; `null` if there is none, or if
   * the runtime does not say.
   */
  alpnProtocol: string | null;
  /** The version of TLS, such as `"TLSv1.3"`, if the runtime says. */
  version?: string | undefined;
  /**
   * The certificate of the client, which is trusted: by the option `tls.ca` or
   * `tls.pin` of the listener. Undefined if there is none. With `peer:`, every client
   * has one, and has proved that the key is its own; it is trusted if the listener
   * has the option `tls.pin`.
   */
  peerCertificate?: PeerCertificate | undefined;
}

/** The contents of a certificate. */
export interface PeerCertificate {
  /**
   * Its subject, such as `"CN=Ann, O=Example"`. A comma or a backslash in a value has
   * a backslash before it.
   */
  subject: string;
  /** Its alternative names, such as `"DNS:localhost"` or `"email:ann@example.com"`. */
  names: string[];
  /** Its SHA-256 hash, as `"sha256:"` and 64 hexadecimal digits. */
  fingerprint: string;
  /** When it begins to be valid. */
  validFrom: Date;
  /** When it expires. */
  validTo: Date;
}

/** PEM text, or the path or URL of a PEM file. */
export type Pem = string | URL;

/** A version of TLS. */
export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** Options of TLS, for dialing. */
export interface TlsDialOptions {
  /**
   * The certificates of the authorities that may have issued the server's, in place
   * of those that the runtime trusts; with `quic:`, Deno trusts these as well.
   * Default: those of the runtime.
   */
  ca?: Pem | readonly Pem[] | undefined;
  /** The certificate of this client, with its `key`. Default: none. */
  cert?: Pem | undefined;
  /** The private key of `cert`. Default: none. */
  key?: Pem | undefined;
  /**
   * The name that the certificate of the server must have. Default: the host of the
   * address.
   */
  serverName?: string | undefined;
  /**
   * The SHA-256 fingerprints of the certificates that are trusted, as 64
   * hexadecimal digits with or without colons and `sha256:`. Their issuer, name and
   * dates are then not checked. Default: the certificate is checked.
   */
  pin?: string | readonly string[] | undefined;
  /** The least version of TLS. Default: `"TLSv1.2"`. */
  minVersion?: TlsVersion | undefined;
}

/** Options of TLS, for listening. */
export interface TlsListenOptions {
  /** The certificate of the server, and those between it and its authority. */
  cert: Pem;
  /** The private key of `cert`. */
  key: Pem;
  /**
   * Whether clients have to have a certificate (`"required"`), may have one
   * (`"optional"`), or are not asked (`"none"`). One that is neither issued by `ca`
   * nor listed in `pin` is refused. Required if `ca` or `pin` is given.
   * Default: `"none"`.
   */
  clientCert?: "none" | "optional" | "required" | undefined;
  /** The certificates of the authorities that issue those of clients. Default: none. */
  ca?: Pem | readonly Pem[] | undefined;
  /**
   * The SHA-256 fingerprints of client certificates that are trusted, regardless of
   * their issuer. Default: none.
   */
  pin?: string | readonly string[] | undefined;
  /** The least version of TLS. Default: `"TLSv1.2"`. */
  minVersion?: TlsVersion | undefined;
}

/**
 * How the connection of two peers of `peer:` was made: from one machine to the other,
 * or through the rendezvous.
 */
export type PeerWay = "direct" | "relayed";

/** Options for `peer:` addresses, in addition to those of TLS. */
export interface PeerMeetingOptions {
  /**
   * Which rendezvous to trust, if its address is `quic:`, `tls:`, `wss:` or `wt:`.
   * Default: one with a certificate from an authority that the runtime trusts.
   */
  tls?: TlsDialOptions | undefined;
  /** Headers of the request, if its address is `ws:` or `wss:`. Default: none. */
  headers?: Headers | Iterable<string[]> | Record<string, string> | undefined;
  /**
   * Milliseconds for which a dialing peer tries to connect directly, including the
   * proof of its key, before the rendezvous relays, and in each further try while it
   * relays: a session moves to a direct connection that is made later. A number of
   * at least 0; with 0, the peer does not try; above 2^31 - 1 there is no limit.
   * Default: 2,000.
   */
  directTimeout?: number | undefined;
  /**
   * Whether the rendezvous may relay. If it may not, and no direct connection can
   * be made, dialing fails with `no-direct-way`. Default: `true`.
   */
  relay?: boolean | undefined;
}

/** A transport that knows which way a connection of `peer:` takes. */
export interface PeerTransport extends Transport {
  /** The way. */
  way?: PeerWay | undefined;
}

/**
 * What is known about an incoming connection before any byte of its session is
 * read.
 */
export interface ConnectionInfo {
  /** The address of the client; empty if it is unknown. */
  remoteAddr: string;
  /**
   * The request that opened a WebSocket, which has no body and stays readable;
   * undefined for other connections.
   */
  request?: Request | undefined;
  /** How a connection of `peer:` was made; undefined for other connections. */
  way?: PeerWay | undefined;
  /**
   * Set if this process terminates the client's TLS; undefined if there is no TLS,
   * or if a proxy in front of this process terminates it.
   */
  tls?: TlsInfo | undefined;
}

/** A transport that knows a common mistake of programs at its other end. */
export interface AdvisingTransport extends Transport {
  /** What the error says about a peer that sends text in place of frames. */
  readonly advice?: string;
}

/**
 * A connection whose sessions have a way of their own to carry channels. It has no
 * byte stream: `read()`, `write()` and `closeWrite()` reject.
 */
export interface SessionTransport extends Transport {
  /** Starts the session, which owns the connection. There is one. */
  startSession(options?: SessionOptions): Session;
  /** Has the session heard by a tap; called before it is started. */
  useTap(tap: SessionTap): void;
}

/** Hears what passes on a connection that has a stream for each channel. */
export interface SessionTap {
  /**
   * A stream has begun.
   *
   * @param isOutgoing whether this side has opened it
   * @param content `"frames"` of its channel, with IDs of 0; or the `"bytes"` of the
   * channel, after a first byte of the opener that is a mark
   */
  stream(isOutgoing: boolean, content: "frames" | "bytes"): StreamTap;
  /** The session has ended; `error` says why it was lost. */
  closed(error: unknown): void;
}

/** Hears what passes on one stream. */
export interface StreamTap {
  /** This side sends bytes, which are valid during the call. */
  sent(bytes: Uint8Array): void;
  /** This side sends nothing more; it may be said several times. */
  sentEnd(): void;
  /** Bytes have arrived, which are valid during the call. */
  received(bytes: Uint8Array): void;
  /** Nothing more is read; it may be said several times. */
  receivedEnd(): void;
}

/** A transport whose `close()` takes a while, such as for a closing handshake. */
export interface AbortableTransport extends Transport {
  /**
   * Closes the connection at once, also during `close()`, which then has nothing
   * to wait for.
   */
  readonly abort?: () => void;
}

/** The time that a connection has for the handshake of its transport. */
export interface HandshakeLimit {
  /** Milliseconds; above 2^31 - 1 there is no limit. */
  readonly timeout: number;
  /** Called when it has passed for a connection, which is closed. */
  readonly onTimeout: (remoteAddr: string) => void;
  /** Called when it has failed for a connection, which is closed. */
  readonly onFailure?: (error: Error, remoteAddr: string) => void;
}

/** What a transport can do about an other end that may vanish without a trace. */
export interface KeepAliveMeans {
  /**
   * Counts signs of life that `read()` does not show: answers to
   * {@linkcode ping}, and room for the rest of a write that had to wait for it.
   */
  readonly signs: number;
  /**
   * Lets the system look after the connection, too. It never fails. Returns whether
   * it could; otherwise it is to be called again.
   */
  start?(): boolean;
  /** Asks the other end for a sign of life. It never fails. */
  ping?(): void;
}

/**
 * A transport whose other end may vanish without a trace, so that a session is to
 * notice a silence.
 */
export interface KeptTransport extends Transport {
  /** What the transport itself can do about that. */
  readonly keepAlive: KeepAliveMeans;
}

/** A transport that may keep the buffers of what is written. */
export interface AdoptingTransport extends Transport {
  /** Bytes that it needs before those that are written, in the same buffer. */
  readonly headroom: number;
  /** Bytes of a write from which on it takes no further DATA: at most 256 KiB. */
  readonly writeTarget: number;
  /**
   * As `write()`. When it has ended, the buffer of the bytes belongs to the transport
   * if {@linkcode exchange} returns another one.
   */
  writeOwned(bytes: Uint8Array): Promise<void>;
  /** A buffer in place of that of the last write; undefined if that was not kept. */
  exchange(): Uint8Array<ArrayBuffer> | undefined;
}

/** A transport whose writes cost so much that small frames should rather wait. */
export interface GatheringTransport extends Transport {
  /** Bytes of small frames that leave without waiting for the end of the turn. */
  readonly earlyWrite: number;
}

/** A transport whose next bytes may have arrived when `read()` has. */
export interface DividedTransport extends Transport {
  /**
   * The bytes that follow what the last `read()` has read, if they have arrived; both
   * stay valid until the next one. Undefined if `read()` is to be called.
   */
  more(): Uint8Array | undefined;
}

/** A transport that notices a silence itself, so that its session does not. */
export interface WatchingTransport extends Transport {
  /** Always true. */
  readonly watchesItself: true;
}

/** A transport that holds memory which counts as that of its session. */
export interface AccountedTransport extends Transport {
  /** Takes that memory from the account of the session, which owns it now. */
  useAccount(account: MemoryAccount): void;
}

/** A connection that was accepted. */
export interface Accepted extends ConnectionInfo {
  /** The connection, owned by the caller of `accept()`. */
  transport: Transport;
  /** Knows the way of a connection of `peer:`, which may change. */
  via?: PeerTransport | undefined;
}

/** Accepts connections at an address. */
export interface TransportListener {
  /** The address to dial. */
  readonly addr: string;
  /** The next connection; `null` once the listener is closed or has no other. */
  accept(): Promise<Accepted | null>;
  /** Stops listening; a pending `accept()` resolves to `null`. */
  close(): void;
}

/** Options of schemes, for dialing. */
export interface SchemeOptions {
  /**
   * Headers of the HTTP request for `ws:` and `wss:`. Browsers cannot send any.
   * Default: an `Origin` with the server's own origin, which qtalk-go's server
   * requires.
   */
  headers?: Headers | Iterable<string[]> | Record<string, string> | undefined;
  /**
   * WebSocket subprotocols to offer, in order of preference. If the server accepts
   * none of them, the connection is made anyway, except in browsers, where it
   * fails. Default: none.
   */
  protocols?: string | readonly string[] | undefined;
  /**
   * Which servers `tls:`, `wss:`, `quic:` and `wt:` trust, and this client's
   * certificate. Default: `{}`.
   */
  tls?: TlsDialOptions | undefined;
  /** The UDP socket for `quic:` and `peer:`. Default: a new socket. */
  endpoint?: QuicEndpointLike | undefined;
  /**
   * The limits of the session, some of which `quic:` needs before it connects.
   * Default: `{}`.
   */
  session?: SessionOptions | undefined;
  /** How `peer:` meets the other peer. Default: `{}`. */
  rendezvous?: PeerMeetingOptions | undefined;
}

/** Options of schemes, for dialing, and what they report. */
export interface ConnectSchemeOptions extends SchemeOptions {
  /**
   * Called when the runtime refuses the connection that a scheme prefers, and the
   * scheme tries another kind; `error` says why. Default: none.
   */
  onFallback?: ((error: unknown) => void) | undefined;
}

/** Options of schemes, for listening. */
export interface ListenSchemeOptions {
  /**
   * Origins (`https://example.com`) of the pages that may open a WebSocket,
   * besides the server's own; `"*"` for all. Others get 403. A browser lets every
   * page connect to every server, with that server's cookies, and sends the page's
   * origin. Programs other than browsers need not send an origin, and may always
   * connect. Default: none.
   */
  origins?: readonly string[] | "*" | undefined;
  /**
   * Names (`example.com`) and addresses by which requests of `ws:`, `wss:` and `wt:`
   * reach the server, besides those of loopback, without a port; `"*"` for all.
   * Requests with another `Host` are refused, those for a WebSocket with 403. This
   * stops DNS rebinding: a page whose name is made to resolve to this machine has
   * the server's own origin, but its own name in `Host`. Default: connections over
   * loopback must name loopback, such as `localhost`, unless a proxy forwarded them
   * (`Forwarded`, `X-Forwarded-For`, `X-Forwarded-Host`); other connections may name
   * anything.
   */
  hosts?: readonly string[] | "*" | undefined;
}

/** All options of schemes, for listening. */
export interface SchemeListenOptions extends ListenSchemeOptions {
  /**
   * The certificate of the server, which `tls:`, `wss:`, `quic:`, `wt:` and `peer:`
   * need; or a function that returns these options. `tls:` and `wss:` call it for each
   * connection, and the others once. While it returns the same object, nothing is
   * checked or read again. If it throws, or what it returns is not valid, the earlier
   * options stay in use, it is not called for a second, and `onError` gets a
   * `listen-failed`, once for several such errors in a row. Sessions that exist go on.
   * Default: none.
   */
  tls?: TlsListenOptions | (() => TlsListenOptions) | undefined;
  /**
   * The UDP socket for `quic:` and `peer:`: a `Deno.QuicEndpoint`, which the program
   * owns and closes. The address for QUIC is then `quic:`, without a host. Default: a
   * new socket.
   */
  endpoint?: QuicEndpointLike | undefined;
  /**
   * Whether `quic:` also accepts clients of qtalk-go, whose streams carry bytes
   * without frames. QUIC may hold 1.25 MB of each such stream while it is not read,
   * which neither `maxHeldSize` nor a memory pool counts. Therefore no connection of
   * the listener, whatever its client, may have more than `maxHeldSize / 1.25 MB`
   * streams open at once, 26 by default. Give clients of qtalk-go a listener of their
   * own. Default: `false`.
   */
  plainStreams?: boolean | undefined;
  /** How `peer:` reaches its rendezvous. Default: `{}`. */
  rendezvous?: Pick<PeerMeetingOptions, "tls" | "headers"> | undefined;
  /**
   * Lets several listeners, each in a worker or a process of its own, listen at the
   * same port, if all of them have this option. The system assigns each connection
   * to one of them; Linux divides connections evenly. It is for `tcp:`, `tls:`,
   * `ws:` and `wss:`. Deno needs the flag `--unstable-net` for it. Default:
   * `false`.
   */
  reusePort?: boolean | undefined;
}

/** Where a listener gets its options of TLS from when they may change. */
export interface TlsRenewal {
  /** The options for the next connection. */
  readonly current: () => TlsListenOptions;
  /** Called with other ones when connections begin to use them. */
  readonly onRenewed: (options: TlsListenOptions) => void;
  /** Called when they cannot be used, once for several times in a row. */
  readonly onFailure: (error: unknown) => void;
}

/** What a scheme knows when it listens. */
export interface SchemeListenTerms extends Omit<SchemeListenOptions, "tls"> {
  /** The options of TLS. Default: none. */
  tls?: TlsListenOptions | undefined;
  /** Where later ones come from. Default: they stay the same. */
  tlsRenewal?: TlsRenewal | undefined;
  /** The limits of sessions, of which `quic:` has to know some before. Default: `{}`. */
  session?: SessionOptions | undefined;
  /**
   * Called when the listener has lost what makes it reachable, such as the name of a
   * `peer:` address, and cannot get it back for now: `error` says why. It is called
   * once for several errors of one kind in a row, and the listener goes on trying.
   * Default: none.
   */
  onUnreachable?: ((error: unknown) => void) | undefined;
}

/** Connects and listens. `rest` is the part of the address after `scheme:`. */
export interface Scheme {
  /**
   * Connects. Rejects with the signal's reason when `signal` aborts.
   *
   * @throws {SyntaxError} if the address has the wrong form
   */
  connect(
    rest: string,
    signal: AbortSignal,
    options?: ConnectSchemeOptions,
  ): Promise<Transport>;
  /**
   * Listens.
   *
   * @param handshake limits the time of a connection before it is accepted
   * @throws {SyntaxError} if the address has the wrong form
   * @throws {TypeError} if one of `hosts` is not a name or an address
   */
  listen(
    rest: string,
    options?: SchemeListenTerms,
    handshake?: HandshakeLimit,
  ): TransportListener | Promise<TransportListener>;
  /**
   * Listens at an address at which {@linkcode listen} has failed because it is in
   * use, if what remains there is of a listener that no longer exists.
   *
   * @throws {Error} `AddrInUse` if it is in use indeed
   */
  takeOver?(rest: string): Promise<TransportListener>;
}
