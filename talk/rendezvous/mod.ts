/**
 * Lets peers behind NATs dial each other by name. `dial()` and `listen()` support
 * this with the scheme `peer:`; this subpath has the rendezvous service, through
 * which the peers find each other.
 *
 * `peer:NAME@ADDRESS#FINGERPRINT` is the address of a peer. It has the name that
 * the peer is registered under, the address of the rendezvous, and the fingerprint
 * of the peer's certificate, which dialing requires. The connection goes directly
 * from machine to machine if that succeeds within two seconds, and otherwise
 * through the rendezvous. Either way, only the two peers can read it, and each
 * knows the key of the other.
 *
 * @module
 */
export { DEFAULT_DIRECT_TIMEOUT } from "./dial.ts";
export { RendezvousError, type RendezvousErrorCode } from "./errors.ts";
export {
  DEFAULT_RENDEZVOUS_OPTIONS,
  type RendezvousOptions,
} from "./service/options.ts";
export {
  type RendezvousService,
  rendezvousService,
  type RendezvousStats,
} from "./service/service.ts";
