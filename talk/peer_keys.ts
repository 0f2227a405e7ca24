/**
 * Symbols for members of peers, and for options, that only this package uses.
 *
 * @module
 */
import type { Pem } from "../mux/internal.ts";
import type { Server } from "../rpc/internal.ts";

/** The method that is called on a peer that this side has dialed. */
export const dialed: unique symbol = Symbol("qtalk.dialed");

/** The method by which a listener admits a new peer. */
export const admit: unique symbol = Symbol("qtalk.admit");

/** The options with the certificate of a listener: other ones if that is renewed. */
export interface CertificateOptions {
  readonly cert: Pem;
}

/** Those of the listener that has accepted a peer, as a member of the peer. */
export const listenerCertificate: unique symbol = Symbol(
  "qtalk.listenerCertificate",
);

/** The option with the class of the server, for what has loaded it before a peer. */
export const loadedServer: unique symbol = Symbol("qtalk.loadedServer");

/** That option, for the options of peers that this package makes. */
export interface LoadedServerOption {
  /** With null, the server is loaded when the first call arrives. */
  readonly [loadedServer]?: typeof Server | null | undefined;
}

/** How many calls a peer has had, by which a listener sees which ones are used. */
export const uses: unique symbol = Symbol("qtalk.uses");
