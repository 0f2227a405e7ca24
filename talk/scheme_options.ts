import { addressError } from "./address.ts";

/**
 * Options that have an effect at the addresses of some schemes only, and which. The
 * command line refuses its flags by the same table. Strings, because arrays would make
 * the core larger.
 */
const SCHEMES = {
  dial: {
    headers: "ws wss",
    protocols: "ws wss",
    tls: "tls wss quic wt peer",
    endpoint: "quic peer",
    rendezvous: "peer",
  },
  listen: {
    origins: "ws wss",
    hosts: "ws wss wt",
    tls: "tls wss quic wt peer",
    endpoint: "quic peer",
    plainStreams: "quic",
    rendezvous: "peer",
    reusePort: "tcp tls ws wss",
  },
} as const;

type Verb = keyof typeof SCHEMES;
type Option<V extends Verb> = keyof typeof SCHEMES[V] & string;

/** Whether an option has an effect at an address. */
export function hasEffect<V extends Verb>(
  verb: V,
  option: Option<V>,
  address: string,
): boolean {
  const [scheme] = address.toLowerCase().split(":", 1);
  return schemesOf(verb, option).split(" ").includes(scheme!);
}

/** Where an option has an effect, for errors. */
export function onlyFor<V extends Verb>(verb: V, option: Option<V>): string {
  const names = schemesOf(verb, option).replaceAll(" ", ":, ");
  return `is for ${names.replace(/,( \w+)$/, " and$1")}: only`;
}

/**
 * Refuses options that would have no effect: a program relies on one, such as on
 * TLS.
 *
 * @param all the addresses that the options are for, of which one suffices. Default:
 * the address
 * @param permanent whether another attempt would fail in the same way. Default: true
 * @throws {TalkError} `dial-failed` or `listen-failed`, whose cause is a `TypeError`
 */
export function checkSchemeOptions<V extends Verb>(
  verb: V,
  address: string,
  options: { readonly [O in Option<V>]?: unknown },
  { all = [address], permanent = true }: {
    readonly all?: readonly string[];
    readonly permanent?: boolean;
  } = {},
): void {
  for (const option of Object.keys(SCHEMES[verb]) as Option<V>[]) {
    const isGiven = (options[option] ?? false) !== false;
    if (!isGiven || all.some((one) => hasEffect(verb, option, one))) continue;
    const reason = new TypeError(`option "${option}" ${onlyFor(verb, option)}`);
    throw addressError(verb, address, reason, permanent);
  }
}

function schemesOf<V extends Verb>(
  verb: V,
  option: Option<V>,
): string {
  return SCHEMES[verb][option] as string;
}
