/**
 * The keys of what this package alone does with a peer, and of options that it alone
 * gives.
 *
 * @module
 */
import type { Pem } from "../mux/internal.ts";
import type { Server } from "../rpc/internal.ts";

/** The key of what is done with a peer that this side has dialed. */
export const dialed: unique symbol = Symbol("qtalk.dialed");

/** How a listener introduces its peers. */
export const admit: unique symbol = Symbol("qtalk.admit");

/** The options with the certificate of a listener: other ones if that is renewed. */
export interface CertificateOptions {
  readonly cert: Pem;
}

/** The key of those of the listener that has accepted a peer. */
export const listenerCertificate: unique symbol = Symbol(
  "qtalk.listenerCertificate",
);

/**
 * The key of the option with the class of the server, for what has loaded it before
 * it makes a peer.
 */
export const loadedServer: unique symbol = Symbol("qtalk.loadedServer");

/** That option, for the options of peers that this package makes. */
export interface LoadedServerOption {
  /** With null, the server is loaded when the first call arrives. */
  readonly [loadedServer]?: typeof Server | null | undefined;
}

/** What a listener asks about the use of its peers. */
export const uses: unique symbol = Symbol("qtalk.uses");
