import type { Pem } from "../types.ts";
import { requiredModule } from "./builtin.ts";
import { fingerprintOf } from "./certificate.ts";

/**
 * PEM text, which may be in a file.
 *
 * @param pem the text, or where the file is
 * @param option the name of the option, for errors
 * @throws {TypeError} if the file cannot be read
 */
export function readPem(pem: Pem, option: string): string {
  if (typeof pem === "string" && pem.includes("-----BEGIN")) return pem;
  const fs = requiredModule<{
    readFileSync(path: Pem, encoding: "utf8"): string;
  }>("node:fs");
  try {
    return fs.readFileSync(pem, "utf8");
  } catch (cause) {
    throw new TypeError(
      `Cannot read option "tls.${option}": ${(cause as Error).message}`,
      { cause },
    );
  }
}

/**
 * The fingerprints of option `tls.pin`, in one form; undefined if there is none.
 *
 * @throws {TypeError} if one of them is no fingerprint
 */
export function pinsOf(
  pin: string | readonly string[] | undefined,
): readonly string[] | undefined {
  if (pin === undefined) return undefined;
  return [pin].flat().map((text) => {
    const fingerprint = fingerprintOf(text);
    if (fingerprint !== undefined) return fingerprint;
    throw new TypeError(
      `Cannot use option "tls.pin": "${text}" is not the SHA-256 fingerprint of a certificate`,
    );
  });
}
