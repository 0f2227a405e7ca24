/**
 * What `listen()` loads on first use.
 *
 * @module
 */
import { checkFunctions } from "../../check_option.ts";
import "../mod.ts"; // Keeps bundles in few chunks.
// What the listener imports, named at once, as in the `start.ts` of the core.
import "../../decision.ts";
import "../../rpc/internal_server.ts";
import "./accept_loop.ts";
import "./iterators.ts";
import type { Carried } from "../../codec/internal.ts";
import {
  type HandshakeLimit,
  type ListenResumeOptions,
  loadResume,
  type ResumeStore,
  type Scheme,
  type SchemeListenOptions,
  type SchemeListenTerms,
  type TlsListenOptions,
  type Transport,
  type TransportListener,
} from "../../mux/internal.ts";
import { addressError, loaded, resolveAddress } from "../address.ts";
import { errorPrinter, reporter } from "../errors.ts";
import { observedSource, type ObserverOption } from "../observe/option.ts";
import type { PeerOptions, PeerWith } from "../peer.ts";
import { checkSchemeOptions } from "../scheme_options.ts";
import {
  handshakeLimit,
  type ResolvedSharedLimits,
  resolveSharedLimits,
  type SharedLimits,
} from "./limits.ts";
import { ConnectionListener } from "./listener.ts";
import { peerListener } from "./peer_listener.ts";
import type {
  AcceptRules,
  Closable,
  Listener,
  ListenerOptions,
  PeerListenerOptions,
} from "./types.ts";

/** Options of all listeners at addresses. */
type StartOptions =
  & ListenerOptions
  & SchemeListenOptions
  & SharedLimits
  & ObserverOption
  & { readonly resume?: ListenResumeOptions | ResumeStore | undefined };

/** Listens at an address, and makes a peer of each connection. */
export function listenForPeers<C extends Carried, Context>(
  address: string,
  options:
    & StartOptions
    & PeerOptions<C, NoInfer<Context>>
    & PeerListenerOptions<C, Context>,
): Promise<Listener<PeerWith<C, Context>>> {
  return start(
    address,
    options,
    (source, limits, options, tls) =>
      peerListener(source, options, limits, tls),
  );
}

/** Listens at an address, and calls `make` for the transport of each connection. */
export function listenForTransports<T extends Closable>(
  address: string,
  options: StartOptions,
  make: (transport: Transport, limits: ResolvedSharedLimits) => T,
  rules: AcceptRules<T>,
): Promise<Listener<T>> {
  return start(
    address,
    options,
    (source, limits, options) =>
      new ConnectionListener<T>(
        source,
        (transport) => make(transport, limits),
        options,
        limits,
        rules,
      ),
  );
}

async function start<T, Options extends StartOptions>(
  address: string,
  given: Options,
  make: (
    source: TransportListener,
    limits: ResolvedSharedLimits,
    options: Options,
    tls: () => TlsListenOptions | undefined,
  ) => T,
): Promise<T> {
  const limits = resolveSharedLimits(given);
  const functions: PeerListenerOptions<Carried, unknown> & Options = given;
  checkFunctions(functions, "accept", "onPeer", "onError");
  // One for all that reports: it prints at a limited rate.
  const { onError = errorPrinter() } = given;
  const options = { ...given, onError };
  const handshake = handshakeLimit(limits, onError);
  const report = reporter(onError);
  const resuming = await resumingSource(options, limits, handshake, report);
  const { scheme, rest } = await resolveAddress(address, "listen");
  checkSchemeOptions("listen", address, options);
  if (options.resume !== undefined && /^quic:/i.test(address)) {
    const reason = new TypeError(
      'option "resume" is for byte streams, and quic: has none',
    );
    throw addressError("listen", address, reason);
  }
  try {
    const { session } = limits;
    const onUnreachable = (error: unknown) =>
      report(addressError("listen", address, error, false));
    const tls = tlsTerms(options.tls, address, report);
    const terms = { ...options, ...tls, session, onUnreachable };
    const source = await listenAt(scheme, rest, terms, handshake);
    const observed = observedSource(resuming(source), options);
    return make(observed, limits, options, () => tls.tls);
  } catch (error) {
    throw addressError("listen", address, error);
  }
}

/**
 * The options of TLS, and where later ones come from. What it returns as `tls` are
 * always those in use.
 */
function tlsTerms(
  tls: SchemeListenOptions["tls"],
  address: string,
  report: (error: unknown) => void,
): Pick<SchemeListenTerms, "tls" | "tlsRenewal"> {
  if (typeof tls !== "function") return { tls };
  let used = tls();
  return {
    get tls() {
      return used;
    },
    tlsRenewal: {
      current: () => tls(),
      onRenewed: (options) => void (used = options),
      onFailure(cause) {
        const why = (cause as Error | undefined)?.message ?? cause;
        const error = new Error(`TLS stays as it was: ${why}`, { cause });
        report(addressError("listen", address, error, false));
      },
    },
  };
}

/** Listens, even if a listener that no longer exists has left a socket file. */
async function listenAt(
  scheme: Scheme,
  rest: string,
  options: SchemeListenTerms,
  handshake: HandshakeLimit,
): Promise<TransportListener> {
  try {
    return await scheme.listen(rest, options, handshake);
  } catch (error) {
    const inUse = (error as Error | undefined)?.name === "AddrInUse";
    if (!inUse || scheme.takeOver === undefined) throw error;
    return await scheme.takeOver(rest);
  }
}

/**
 * Makes a listener whose sessions survive their connections, with the option
 * `resume`.
 */
async function resumingSource(
  { resume, accept }: StartOptions,
  { session }: ResolvedSharedLimits,
  handshake: HandshakeLimit,
  report: (error: unknown) => void,
): Promise<(source: TransportListener) => TransportListener> {
  if (resume === undefined) return (source) => source;
  const { ResumingListener, storeOf } = await loaded("listen", loadResume());
  const store = storeOf(resume);
  return (source) =>
    new ResumingListener(source, {
      store,
      keepAlive: session.keepAlive,
      handshake,
      allow: accept,
      onError: report,
    });
}
