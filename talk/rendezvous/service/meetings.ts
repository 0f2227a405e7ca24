import type { CallingPeer } from "../../../rpc/internal.ts";
import type { Peer } from "../../peer.ts";
import {
  ANSWER_TIME,
  type Place,
  placeOf,
  type Places,
  refusal,
  SELECTORS,
} from "../wire.ts";
import type { Registration, Share } from "./names.ts";
import type { RendezvousLimits } from "./options.ts";

/** The meetings of dialing peers with listening ones. */
export class Meetings {
  readonly #limits: RendezvousLimits;
  /** Meetings that wait for an answer, the oldest first. */
  readonly #waiting = new Set<AbortController>();
  #total = 0;

  /** Makes one without meetings. */
  constructor(limits: RendezvousLimits) {
    this.#limits = limits;
  }

  /** How many there have been. */
  get total(): number {
    return this.#total;
  }

  /**
   * Lets two peers meet: asks the listening one to open a way, and returns its
   * addresses for the dialing one.
   *
   * @param dialing the session that dials
   * @param own what is under way for that session
   * @param local the addresses of that peer in its own networks
   * @throws {CallError} if the dialing session has too many meetings
   */
  begin(
    dialing: CallingPeer,
    own: Share,
    local: readonly Place[],
    found: Registration,
  ): Places {
    if (own.meetings >= this.#limits.maxMeetingsPerSession) {
      throw refusal("limit-exceeded", "too many meetings now");
    }
    const [near, far] = delays(dialing, found.peer);
    this.#total++;
    this.#punch(own, found, placesOf(dialing, local, far!));
    return placesOf(found.peer, found.local, near!);
  }

  /**
   * Lets a listening peer open a way. Its answer is not awaited: the peers are to send
   * at the same time. If it does not answer, there is no direct way. So the limits of
   * meetings are no errors for the dialing peer, which has the relay.
   */
  #punch(own: Share, found: Registration, places: Places): void {
    const { maxMeetings, maxMeetingsPerName } = this.#limits;
    if (found.meetings >= maxMeetingsPerName) return;
    const waiting = new AbortController();
    this.#waiting.add(waiting);
    found.meetings++;
    own.meetings++;
    const [oldest] = this.#waiting;
    // Peers that never answer must not keep others from meeting.
    if (this.#waiting.size > maxMeetings) {
      this.#waiting.delete(oldest!);
      oldest!.abort();
    }
    void found.caller.call(SELECTORS.punch, [places], {
      timeout: ANSWER_TIME,
      signal: waiting.signal,
    }).catch(() => {}).finally(() => {
      this.#waiting.delete(waiting);
      found.meetings--;
      own.meetings--;
    });
  }
}

/** Where a peer can be reached, for the other one. */
function placesOf(
  { remoteAddr }: CallingPeer,
  local: readonly Place[],
  delay: number,
): Places {
  return { seen: placeOf(remoteAddr), local, delay };
}

/**
 * How long each of two peers waits, so that both send at the same time. A router that
 * accepts unsolicited packets treats one that comes early as a separate connection,
 * and then gives its host another port.
 */
function delays(...peers: CallingPeer[]): number[] {
  // Half of a round trip: the time until the peer gets the message.
  const times = peers.map((peer) => ((peer as Partial<Peer>).rtt ?? 0) / 2);
  const longest = Math.max(...times);
  return times.map((time) => longest - time);
}
