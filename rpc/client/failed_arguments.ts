/**
 * What is loaded when the producer of streamed arguments fails, as few do.
 *
 * @module
 */
import "../internal.ts"; // Keeps bundles in few chunks.
export { addTrailer } from "../wire/headers/error_header.ts";
