/**
 * How handlers answer by calling functions and running middleware. It is loaded with
 * the server, whose calls bring it: handlers are made before that, or on this side
 * alone.
 *
 * @module
 */
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
