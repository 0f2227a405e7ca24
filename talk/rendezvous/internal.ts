/**
 * What `talk` and the command line use of this folder, in addition to the public API.
 *
 * @module
 */
export { peer } from "./scheme.ts";
export {
  type RendezvousOptions,
  type RendezvousService,
  rendezvousService,
} from "./service.ts";
