/**
 * What `talk` and the command line use of this folder, in addition to the public API.
 *
 * @module
 */
import "../mod.ts"; // Keeps bundles in few chunks.
export { peer } from "./scheme.ts";
export type { RendezvousOptions } from "./service/options.ts";
export {
  type RendezvousService,
  rendezvousService,
} from "./service/service.ts";
