/**
 * The codecs that a command line can name.
 *
 * @module
 */
import { type Codec, json } from "../../codec/internal.ts";
import { UsageError } from "./exit_code.ts";

/** The option of every command that has values to encode. */
export const CODEC_OPTION = {
  type: "string",
  value: "NAME",
  about: "json, cbor or msgpack",
} as const;

/**
 * Those that need a library, by the modules that have them. Deno would fetch
 * what a literal `import()` names before the program starts; this way, who uses
 * JSON needs no registry.
 */
const MODULES: Readonly<Record<string, string>> = {
  cbor: "../../codec/cbor/cbor.ts",
  msgpack: "../../codec/msgpack/msgpack.ts",
};

/** The variable that the reference's commands read. */
const VARIABLE = "QTALK_CODEC";

/** What `option` says, or else the environment, or else the default. */
export function codecName(
  option: string | undefined,
  byDefault: "json" | "cbor",
): string {
  return option ?? environment() ?? byDefault;
}

/**
 * Loads the codec of that name.
 *
 * @throws {UsageError} if there is none
 */
export async function loadCodec(name: string): Promise<Codec> {
  if (name === "json") return json();
  const path = Object.hasOwn(MODULES, name) ? MODULES[name] : undefined;
  if (path === undefined) {
    throw new UsageError(
      `Cannot use codec "${name}": it is none of json, cbor, msgpack`,
    );
  }
  const module = await import(path) as Record<string, () => Codec>;
  return module[name]!();
}

/** What the environment says, if this program may ask. */
function environment(): string | undefined {
  const { state } = Deno.permissions.querySync({
    name: "env",
    variable: VARIABLE,
  });
  return state === "granted" ? Deno.env.get(VARIABLE) || undefined : undefined;
}
