/**
 * How handlers answer by calling functions and running middleware. It is loaded with
 * the server, if the program has such handlers: see `function_handler.ts`.
 *
 * @module
 */
import "../internal.ts"; // Keeps bundles in few chunks.
// What the other imports import, named at once, as in `start.ts`.
import "../wire/received_stream.ts";
import type { Answering } from "../server/server_call.ts";
import { callFunction } from "./call_function.ts";
import { respondWithValues, sourceFor } from "./respond_with.ts";
import { runMiddleware } from "./run_middleware.ts";

/** The functions, as calls have them. */
export const answering: Answering = {
  callFunction,
  runMiddleware,
  respondWithValues,
  sourceFor,
};
