import { type Codec, json } from "../../../codec/internal.ts";
import { UsageError } from "../exit_code.ts";
import { moduleUrl } from "../../../module_url.ts";

/** The `--codec` option of commands whose default is JSON. */
export const CODEC_OPTION = {
  type: "string",
  value: "NAME",
  about: "json (default), cbor or msgpack",
} as const;

/** The `--codec` option of `interop` and of the commands that call it. */
export const INTEROP_CODEC_OPTION = {
  ...CODEC_OPTION,
  about: "json, cbor (default) or msgpack",
} as const;

/** The modules of the codecs that need a library: JSON works without a registry. */
const MODULES: Readonly<Record<string, string>> = {
  cbor: "codec/cbor/cbor",
  msgpack: "codec/msgpack/msgpack",
};

/** The environment variable that the commands of qtalk-go read, too. */
const VARIABLE = "QTALK_CODEC";

/** The codec of the option, or else of the environment, or else the default. */
export function codecName(
  option: string | undefined,
  byDefault: "json" | "cbor",
): string {
  return option ?? environment() ?? byDefault;
}

/**
 * Loads the codec of that name.
 *
 * @throws {UsageError} if there is no such codec
 */
export async function loadCodec(name: string): Promise<Codec> {
  if (name === "json") return json({ bigint: true });
  const path = Object.hasOwn(MODULES, name) ? MODULES[name] : undefined;
  if (path === undefined) {
    throw new UsageError(
      `Cannot use codec "${name}": it is not one of json, cbor, msgpack`,
    );
  }
  const module = await import(moduleUrl(path)) as Record<string, () => Codec>;
  return module[name]!();
}

/** The codec of the environment, if the program may read it. */
function environment(): string | undefined {
  const { state } = Deno.permissions.querySync({
    name: "env",
    variable: VARIABLE,
  });
  return state === "granted" ? Deno.env.get(VARIABLE) || undefined : undefined;
}
