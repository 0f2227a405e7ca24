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

/** What stands for a part of an address that may be secret. */
const HIDDEN = "…";

/**
 * An address for error texts, logs and terminals: without a user with a password,
 * and without its query and fragment, which may contain tokens. A user alone is
 * shown.
 */
export function withoutSecrets(address: string): string {
  const { start, user, rest, query } = partsOf(address);
  const isSecret = user.includes(":");
  const from = user === "" ? "" : `${isSecret ? HIDDEN : user}@`;
  return start + from + rest + (query === "" ? "" : query[0] + HIDDEN);
}

/** A text without the secrets of an address, such as that of an error about it. */
export function hideSecrets(text: string, address: string): string {
  let hidden = text.replaceAll(address, () => withoutSecrets(address));
  const { user, query } = partsOf(address);
  const pairs = query.slice(1).split(/[&#]/);
  const values = pairs.map((pair) => pair.slice(pair.indexOf("=") + 1));
  const secrets = [
    ...(user.includes(":") ? [user, ...user.split(":")] : []),
    query.slice(1),
    ...pairs,
    ...values,
  ];
  for (const secret of secrets) {
    // A text of a few characters may be part of any word.
    if (secret.length < 3) continue;
    hidden = hidden.replaceAll(secret, HIDDEN);
    hidden = hidden.replaceAll(encodeURI(secret.toWellFormed()), HIDDEN);
  }
  return hidden;
}

/** The scheme with its slashes, the user and password, and what follows `?` or `#`. */
function partsOf(address: string): Record<
  "start" | "user" | "rest" | "query",
  string
> {
  const [start] = /^(?:[a-z][a-z0-9+.-]*:(?=[/\\]))?[/\\]{0,2}/i.exec(address)!;
  const body = address.slice(start.length);
  const slash = body.search(/[/\\?#]|$/);
  let end = body.lastIndexOf("@", slash);
  // A password with such a character, which makes the part before it no host.
  const isHost = /^(?:\[[^\]]*\]|[^:[\]]*)(?::\d*)?$/.test(
    body.slice(0, slash),
  );
  if (end < 0 && !isHost) end = body.lastIndexOf("@");
  const after = body.slice(end + 1);
  const mark = after.search(/[?#]|$/);
  return {
    start,
    user: body.slice(0, Math.max(end, 0)),
    rest: after.slice(0, mark),
    query: after.slice(mark),
  };
}
