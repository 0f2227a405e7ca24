/**
 * What `talk` and the command line use of this folder, besides what programs do.
 *
 * @module
 */
export { peer } from "./scheme.ts";
export { type RendezvousOptions, rendezvousService } from "./service.ts";
