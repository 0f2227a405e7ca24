import { checkList, checkObject, checkOption } from "../../../check_option.ts";
import { checkIdentities } from "../known_as.ts";

/** Limits of a rendezvous. */
export interface RendezvousOptions {
  /**
   * Names that are registered or kept for lost peers at the same time. When there
   * are more, kept names are dropped, the oldest first. An integer of at least 1.
   * Default: 4,096.
   */
  maxNames?: number | undefined;
  /** Names of one session. An integer of at least 1. Default: 4. */
  maxNamesPerSession?: number | undefined;
  /**
   * Meetings that wait at the same time for the answer of their listening peer. When
   * there are more, the oldest one waits no longer. An integer of at least 1. Default:
   * 1,024.
   */
  maxMeetings?: number | undefined;
  /**
   * The same for one listening peer. When there are more, the peer is not asked, and
   * learns nothing of the one that dials. An integer of at least 1. Default: 16.
   */
  maxMeetingsPerName?: number | undefined;
  /**
   * The same for one session that dials. `dial()` makes one meeting after another. An
   * integer of at least 1. Default: 8.
   */
  maxMeetingsPerSession?: number | undefined;
  /**
   * Connections that are relayed at once. When there are more, one through which
   * nothing has passed for 30 s gives way. An integer of at least 0; 0 turns relaying
   * off. Default: 256.
   */
  maxRelays?: number | undefined;
  /** The same for one listening peer. An integer of at least 0. Default: 32. */
  maxRelaysPerName?: number | undefined;
  /**
   * The same for one session that dials. `dial()` makes a session for each connection.
   * An integer of at least 0. Default: 8.
   */
  maxRelaysPerSession?: number | undefined;
  /**
   * Bytes of one relayed connection, in both directions together, after which it
   * ends. A number of at least 0. Default: 1,024 MiB.
   */
  maxRelayedSize?: number | undefined;
  /**
   * Milliseconds for which the name of a peer that was lost is kept for its key:
   * meanwhile, no other key can register it. A number of at least 0. Default: 60,000.
   */
  nameGrace?: number | undefined;
  /**
   * How peers may identify this rendezvous: the hosts in its addresses, and the
   * SHA-256 fingerprints of certificates that they pin. A registration that was
   * made for another rendezvous is refused. Default: the certificate of the
   * listener and the names in it; for a listener without one, such as at `tcp:` or
   * after a proxy, registrations are not checked.
   */
  identities?: readonly string[] | undefined;
}

/** The defaults of {@linkcode RendezvousOptions} that are numbers. */
export const DEFAULT_RENDEZVOUS_OPTIONS: Readonly<
  Record<Exclude<keyof RendezvousOptions, "identities">, number>
> = Object.freeze({
  maxNames: 4_096,
  maxNamesPerSession: 4,
  maxMeetings: 1_024,
  maxMeetingsPerName: 16,
  maxMeetingsPerSession: 8,
  maxRelays: 256,
  maxRelaysPerName: 32,
  maxRelaysPerSession: 8,
  maxRelayedSize: 2 ** 30,
  nameGrace: 60_000,
});

/** The options that are numbers. */
export type RendezvousLimits = typeof DEFAULT_RENDEZVOUS_OPTIONS;

/** The options, checked. */
export interface ResolvedRendezvousOptions {
  /** The limits with their defaults. */
  readonly limits: RendezvousLimits;
  /** What peers may know the rendezvous as; undefined for what is in certificates. */
  readonly identities: readonly string[] | undefined;
}

/**
 * Checks the options and fills in their defaults.
 *
 * @throws {RangeError} if a limit is out of range
 * @throws {TypeError} if one of `identities` is neither a host nor a fingerprint
 */
export function resolveRendezvousOptions(
  options: RendezvousOptions,
): ResolvedRendezvousOptions {
  checkObject("options of rendezvousService()", options);
  const { identities } = options;
  checkList("identities", identities);
  const limits: Record<keyof RendezvousLimits, number> = {
    ...DEFAULT_RENDEZVOUS_OPTIONS,
  };
  for (const name of Object.keys(limits) as (keyof RendezvousLimits)[]) {
    const value = options[name];
    if (value === undefined) continue;
    const min = /Relay|Grace/.test(name) ? 0 : 1;
    const fraction = name === "maxRelayedSize" || name === "nameGrace";
    checkOption(name, value, { min, max: Infinity, fraction });
    limits[name] = value;
  }
  return { limits, identities: checkIdentities(identities) };
}
