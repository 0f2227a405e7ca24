/**
 * Checks headers, fingerprints and files that options name. No error quotes a secret.
 *
 * @module
 */
import { printableText } from "../../../printable_text.ts";
import { UsageError } from "../exit_code.ts";

/** Parses `NAME:VALUE`. No error quotes the value, which may be a secret. */
export function parseHeader(text: string): [name: string, value: string] {
  const colon = text.indexOf(":");
  if (colon < 0) {
    throw new UsageError("Cannot use --header: expected NAME:VALUE");
  }
  const name = text.slice(0, colon).trim();
  const value = text.slice(colon + 1).trim();
  if (!isHeader(name, "")) {
    // A secret with a colon may be in its place.
    throw new UsageError(
      "Cannot use --header: the text before the colon is not a valid header name",
    );
  }
  if (!isHeader(name, value)) {
    throw new UsageError(
      `Cannot use --header "${name}": its value has characters that HTTP does not allow`,
    );
  }
  return [name, value];
}

function isHeader(name: string, value: string): boolean {
  try {
    new Headers([[name, value]]);
    return true;
  } catch {
    return false;
  }
}

/** Throws unless the text is a fingerprint. */
export function checkPin(text: string, option = "pin"): void {
  const digits = text.replace(/^sha256:/i, "").replaceAll(":", "");
  if (/^[\da-f]{64}$/i.test(digits)) return;
  throw new UsageError(
    `Cannot use --${option}: "${
      printableText(text)
    }" is not the SHA-256 fingerprint of a certificate`,
  );
}

/** What the file of an option has to contain. */
const CONTENTS: readonly (readonly [RegExp, RegExp, string])[] = [
  [/key$/, /^-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/m, "unencrypted key"],
  [/^/, /^-----BEGIN (?:TRUSTED )?CERTIFICATE-----/m, "certificate"],
];

/**
 * Makes sure that files can be read, and have what their option needs. No error quotes
 * their contents.
 */
export async function checkFiles(
  files: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  for (const [name, path] of Object.entries(files)) {
    if (path === undefined) continue;
    if (path.includes("-----BEGIN")) {
      throw new UsageError(
        `Cannot use --${name}: expected the path of a file, not its content`,
      );
    }
    const quoted = printableText(path);
    let text: string;
    try {
      text = await Deno.readTextFile(path);
    } catch (cause) {
      throw new UsageError(
        `Cannot read --${name} "${quoted}": ${(cause as Error).message}`,
        { cause },
      );
    }
    const [, pattern, what] = CONTENTS.find(([names]) => names.test(name))!;
    if (pattern.test(text)) continue;
    throw new UsageError(
      `Cannot use --${name} "${quoted}": it has no ${what} in PEM`,
    );
  }
}
