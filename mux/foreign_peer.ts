/**
 * What is loaded when a peer does not speak this protocol.
 *
 * @module
 */
import "./internal.ts"; // Keeps bundles in few chunks.
export { describeText, notFrames } from "./wire/foreign_bytes.ts";
