/**
 * Peers behind NATs, which dial each other by name: `dial()` and `listen()` have
 * them as the scheme `peer:`, and this subpath has the service where they meet.
 *
 * `peer:NAME@ADDRESS#FINGERPRINT` is a peer: the name that it is registered under,
 * the address of the rendezvous, and the fingerprint of its certificate, without
 * which it is not dialed. The connection goes from machine to machine if a way opens
 * within two seconds, and through the rendezvous otherwise; either way, only the two
 * peers can read it, and each knows the key of the other.
 *
 * @module
 */
export { DEFAULT_DIRECT_TIMEOUT } from "./dial.ts";
export { RendezvousError, type RendezvousErrorCode } from "./errors.ts";
export {
  DEFAULT_RENDEZVOUS_OPTIONS,
  type RendezvousOptions,
  type RendezvousService,
  rendezvousService,
  type RendezvousStats,
} from "./service.ts";
