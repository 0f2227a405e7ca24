/**
 * Text from elsewhere in error texts and on terminals.
 *
 * @module
 */

const SHORT: Readonly<Record<string, string>> = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

/**
 * A text in one line that can be printed safely: characters that cannot are
 * escaped as in JSON. These change how a terminal or a log shows the text around
 * them: control characters (C0, DEL and C1), line and paragraph separators, and
 * those that override the direction of writing.
 */
export function printableText(text: string): string {
  return text.replace(
    // Made here: at the start of a program, it would take as long as three modules.
    /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu,
    (char) =>
      SHORT[char] ??
        `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * An address for errors, logs and output: without user and password, query and
 * fragment, which may be secrets, and safe to print. What is not a well-formed
 * address is treated as if it were one: errors are often about those.
 */
export function redactedAddress(address: string): string {
  const peer = /^(peer:[\w.-]*@)([^]*?)(#(?:sha256:)?(?:[\da-f]{2}:?){32})?$/i
    .exec(address);
  if (peer !== null) {
    // Everyone may know the fingerprint of a peer, and without it, the address is
    // of no use.
    const [, name, rendezvous, fingerprint = ""] = peer;
    return name + redactedAddress(rendezvous!) + fingerprint;
  }
  const [scheme] = /^(?:[a-z][\w+.-]*:(?=\/\/)|(?:tcp|wss?|unix|stdio):|)\/*/i
    .exec(address)!;
  let rest = address.slice(scheme.length);
  const hidden = /[?#]/.exec(rest);
  // In the path of a socket, "@" is a character like others.
  if (!/^unix:/i.test(scheme)) {
    const [authority] = /^[^/?#]*/.exec(rest)!;
    const isHost = scheme !== "" &&
      /^(?:\[[^\]]*\]|[^:@]*)(?::\d*)?$/.test(authority);
    // A password may have characters that should have been escaped.
    const at = isHost ? -1 : rest.lastIndexOf("@");
    if (at >= 0) {
      rest = rest.slice(at);
      const end = rest.search(/[?#]/);
      return printableText(
        `${scheme}\u2026${end < 0 ? rest : `${rest.slice(0, end + 1)}\u2026`}`,
      );
    }
  }
  if (hidden !== null) rest = `${rest.slice(0, hidden.index + 1)}\u2026`;
  return printableText(scheme + rest);
}

/** A text with the addresses in it redacted, such as an error of the runtime. */
export function redactedIn(text: string): string {
  return text.replace(/\b[a-z][\w+.-]*:\/\/[^\s"'<>]*/gi, redactedAddress);
}
