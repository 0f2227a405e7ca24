/**
 * What is loaded when a program answers calls. `talk` uses it for listeners, and this
 * layer where the first call arrives. No entry point exports this module.
 *
 * @module
 */
import "./internal.ts"; // Keeps bundles in few chunks.
// What the server imports, named at once, as in `start.ts`.
import "./client/inheriting_caller.ts";
import "./server/argument_memory.ts";
import "./server/call_queue.ts";
import "./server/header_memory.ts";
import "./server/incoming_call.ts";
import "./server/refusals.ts";
import "./server/request_decoder.ts";
import "./server/responder.ts";
import "./server/response_writer.ts";
import "./server/unsent_responses.ts";
import "./callback/pointer_finder.ts";
import "./wire/headers/error_header.ts";
import "./wire/value_receiver.ts";
export { errorText } from "./wire/headers/error_header.ts";
export { Server } from "./server/server.ts";
