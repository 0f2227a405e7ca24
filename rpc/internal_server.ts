/**
 * What is loaded when a program answers calls. `talk` uses it for listeners, and this
 * layer where the first call arrives. No entry point exports this module.
 *
 * @module
 */
import "./internal.ts"; // Keeps bundles in few chunks.
export { answering } from "./handler/answering.ts";
export { Server } from "./server/server.ts";
