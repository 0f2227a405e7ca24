/**
 * What is loaded when the first function or stream of a peer arrives: most sessions
 * have none.
 *
 * @module
 */
import "../internal.ts"; // Keeps bundles in few chunks.
export { BorrowedCallbacks } from "./borrowed_callbacks.ts";
export { releaseIn, releaserOf, revivePointers } from "./received_pointers.ts";
export { RemoteFunctions } from "./remote_function.ts";
