/** The flags that set options of the library, by the names of those. */
const FLAGS: Readonly<Record<string, string>> = {
  "tls.ca": "ca",
  "tls.cert": "cert",
  "tls.key": "key",
  "tls.clientCert": "client-cert",
  "rendezvous.tls.ca": "rendezvous-ca",
  "rendezvous.tls.pin": "rendezvous-pin",
  codec: "codec",
  codecs: "codec",
  headers: "header",
  identities: "known-as",
  maxNames: "max-names",
  maxRelays: "max-relays",
  resume: "resume",
  reusePort: "parallel",
  timeout: "timeout",
};

/** How the text of an error names an option, or several. */
const OPTION =
  /(?:\b(?:the )?options? )?"([a-z]+(?:\.[a-zA-Z]+)+)"|\b(?:the )?option "(\w+)"|(?<= in )"(codecs)"/g;
/** An option in brackets, as a hint. */
const HINT = / \((?:the )?option "[\w.]+"\)/g;

/** What the text of an error is about. */
export interface FlagContext {
  /** The flags of the command. */
  readonly flags: readonly string[];
  /** What the flags for the side that is dialed begin with. */
  readonly dialPrefix: "" | "dial-";
}

/**
 * Names the flags of a command where the library names its options, which the user
 * of a command cannot set. Hints at options without a flag are left out.
 */
export function withFlagNames(
  text: string,
  { flags, dialPrefix }: FlagContext,
): string {
  const isDialing = /\bCannot dial /.test(text);
  const flagOf = (name: string) => {
    const flag = name === "tls.pin"
      ? isDialing ? "pin" : "peer-pin"
      : FLAGS[name];
    const ofDialed = `${dialPrefix}${flag}`;
    return [...isDialing ? [ofDialed] : [], `${flag}`].find((one) =>
      flags.includes(one)
    );
  };
  const named = text.replace(OPTION, (whole, dotted, plain, listed) => {
    const flag = flagOf(dotted ?? plain ?? listed);
    return flag === undefined ? whole : `--${flag}`;
  });
  return named.replace(HINT, "");
}
