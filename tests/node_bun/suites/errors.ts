/**
 * The classes of `Deno.errors`, which here are names: errors of the library have
 * the same names on every runtime.
 *
 * @module
 */
import { systemError } from "../../../mux/transport/node/streams.ts";

/** A class whose instances are all errors of its name. */
function errorNamed(name: string) {
  return class extends Error {
    override name = name;
    static override [Symbol.hasInstance](error: unknown): boolean {
      return error instanceof Error && error.name === name;
    }
  };
}

/** `Deno.errors`. */
export const errors = Object.fromEntries(
  [
    "AddrInUse",
    "AlreadyExists",
    "BadResource",
    "BrokenPipe",
    "ConnectionRefused",
    "ConnectionReset",
    "Interrupted",
    "InvalidData",
    "NotFound",
    "PermissionDenied",
  ].map((name) => [name, errorNamed(name)]),
);

/** Calls a function of Node; its errors get the names of Deno's. */
export function named<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw nameOf(error);
  }
}

/** The same, for one that returns a promise. */
export async function namedAsync<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw nameOf(error);
  }
}

function nameOf(error: unknown): Error {
  const renamed = systemError(error);
  const { code } = error as { code?: string };
  if (code === "EEXIST") renamed.name = "AlreadyExists";
  return renamed;
}
