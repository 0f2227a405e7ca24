/**
 * Like `internal.ts`, for what pipes channels into each other: programs that pass on
 * what they receive use it, and not those that only make calls.
 *
 * @module
 */
import "./internal.ts"; // Keeps bundles in few chunks.
export {
  isRawChannel,
  pipe,
  pipeStreams,
  splice,
} from "./channel/channel_pipe.ts";
