/**
 * The codecs that a command line can name.
 *
 * @module
 */
import type { Codec } from "../../codec/codec.ts";
import { json } from "../../codec/json.ts";
import { UsageError } from "./exit.ts";

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
  cbor: "../../codec/cbor.ts",
  msgpack: "../../codec/msgpack.ts",
};

/** The variable that the reference's commands read. */
const VARIABLE = "QTALK_CODEC";

/**
 * Loads the codecs that `option` names, separated by commas; without it, the one
 * that the environment names, or else the default.
 *
 * @throws {UsageError} if there is none of such a name
 */
export async function codecsFrom(
  option: string | undefined,
  byDefault: "json" | "cbor",
): Promise<[Codec, ...Codec[]]> {
  const names = (option ?? environment() ?? byDefault).split(",");
  const [first, ...others] = await Promise.all(names.map(load));
  return [first!, ...others];
}

/** The same, for who speaks one. */
export async function codecFrom(
  option: string | undefined,
  byDefault: "json" | "cbor",
): Promise<Codec> {
  const [codec, ...others] = await codecsFrom(option, byDefault);
  if (others.length === 0) return codec;
  throw new UsageError("Cannot use several codecs: this command speaks one");
}

async function load(name: string): Promise<Codec> {
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
