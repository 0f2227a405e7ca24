/**
 * Text from elsewhere in error texts and on terminals.
 *
 * @module
 */

/**
 * Characters that change how a terminal or a log shows the text around them:
 * control characters (C0, DEL and C1), line and paragraph separators, and those
 * that override the direction of writing.
 */
const UNPRINTABLE =
  /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

const SHORT: Readonly<Record<string, string>> = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

/**
 * A text in one line that can be printed safely: characters that cannot are
 * escaped as in JSON.
 */
export function printableText(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (char) =>
      SHORT[char] ??
        `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
