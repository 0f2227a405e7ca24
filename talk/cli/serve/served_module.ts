/**
 * The module that `qtalk serve` serves.
 *
 * @module
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { redactedAddress, redactedIn } from "../../../printable_text.ts";
import { type Handler, handlerFrom } from "../../../rpc/internal.ts";
import type { ReflectionOptions } from "../../../rpc/internal_cli.ts";

/** A service, and what its module says about it. */
export interface LoadedService {
  /** Answers the calls. */
  readonly service: Handler;
  /** Its name, version, documentation and health. */
  readonly about: ReflectionOptions;
}

/**
 * Loads the module of a service.
 *
 * @param file its path or its URL
 * @throws {TypeError} if its default export is not a service
 * @throws {Error} if it cannot be loaded
 */
export async function loadService(file: string): Promise<LoadedService> {
  const module = await load(file);
  return { service: serviceOf(file, module.default), about: aboutOf(module) };
}

/** What a module may export besides the service. */
interface ServedModule {
  readonly default?: unknown;
  readonly name?: unknown;
  readonly version?: unknown;
  readonly doc?: unknown;
  readonly health?: unknown;
}

/**
 * What a module says about its service. Exports of other kinds than expected are there
 * for something else.
 */
function aboutOf(
  { name, version, doc, health }: ServedModule,
): ReflectionOptions {
  return {
    ...(typeof name === "string" && { name }),
    ...(typeof version === "string" && { version }),
    ...(typeof doc === "string" && { doc }),
    ...(typeof health === "function" && { health: () => health() }),
  };
}

function notServed(file: string, why: string): TypeError {
  return new TypeError(`Cannot serve "${redactedAddress(file)}": ${why}`);
}

/** Loads a module. */
async function load(file: string): Promise<ServedModule> {
  const url = /^[a-z]{2,}:/i.test(file)
    ? file
    : pathToFileURL(resolve(file)).href;
  try {
    return await import(url) as ServedModule;
  } catch (cause) {
    // A module can throw anything.
    const { message = String(cause), stack = "" } = (cause ?? {}) as Partial<
      Error
    >;
    // A syntax error quotes lines of the module after the first line.
    const [reason = ""] = message.split("\n");
    const place = /\bat (?:.*\()?((?:file|https?):[^\s)]+)/
      .exec(`${message}\n${stack}`)?.[1];
    // A module that does not exist was asked for here.
    const isKnown = place === undefined || reason.includes(place) ||
      place.startsWith(import.meta.url);
    const text = `Cannot load "${redactedAddress(file)}": ${
      redactedIn(isKnown ? reason : `${reason} (at ${place})`)
    }`;
    // Whatever prints the error prints its cause as well.
    throw new Error(text, url === file ? undefined : { cause });
  }
}

/** The handler for a default export. */
function serviceOf(file: string, service: unknown): Handler {
  if (isHandler(service)) return service;
  const isClass = typeof service === "function" &&
    /^class\b/.test(Function.prototype.toString.call(service));
  if (
    isClass || service === null ||
    typeof service !== "object" && typeof service !== "function"
  ) {
    throw notServed(
      file,
      `its default export is ${
        isClass
          ? "a class, not an instance"
          : service === undefined
          ? "missing"
          : `not a service: ${Deno.inspect(service)}`
      }`,
    );
  }
  return handlerFrom(service);
}

function isHandler(service: unknown): service is Handler {
  return typeof service === "object" && service !== null &&
    typeof (service as { respond?: unknown }).respond === "function";
}
