/**
 * What `talk` uses of this layer to answer calls, and a program that only makes calls
 * does not load. No entry point exports this module.
 *
 * @module
 */
export { Server } from "./server/server.ts";
