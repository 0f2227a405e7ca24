/**
 * What answers calls: a program that only makes calls does not load it. `talk` uses
 * it, too. No entry point exports this module.
 *
 * @module
 */
import "./internal.ts"; // Keeps bundles in few chunks.
export { answering } from "./handler/answering.ts";
export { Server } from "./server/server.ts";
