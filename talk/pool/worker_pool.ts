import { checkObject, kindOf } from "../../check_option.ts";
import type { Carried } from "../../codec/internal.ts";
import { sessionClosed } from "../../mux/internal.ts";
import { redactedAddress } from "../../printable_text.ts";
import { Peer } from "../peer.ts";
import type { ConnectionState } from "../reconnect/types.ts";
import { Member } from "./member.ts";
import { PoolCalls } from "./pool_calls.ts";
import type { BalanceOptions, WorkerPool } from "./types.ts";

/**
 * Makes a pool of peers that have dialed this side, such as workers that dial a
 * coordinator. The program adds each of them; one that is lost leaves by itself.
 *
 * @example Workers, with two jobs each at a time
 * ```ts
 * import { dial, handlerFrom, listen } from "@qtalk/qtalk";
 * import { workerPool } from "@qtalk/qtalk/pool";
 * import { assertEquals } from "@std/assert";
 *
 * using workers = workerPool({ maxCallsPerMember: 2 });
 * await using listener = await listen("tcp://127.0.0.1:0", {
 *   onPeer: (peer) => void workers.add(peer),
 * });
 *
 * // Another program:
 * const service = { square: (n: number) => n * n };
 * await using worker = await dial(listener.addr, {
 *   handler: handlerFrom(service),
 * });
 *
 * const api = workers.remote<typeof service>();
 * const jobs = [1, 2, 3].map((n) => api.square(n));
 * assertEquals(await Promise.all(jobs), [1, 4, 9]);
 * ```
 *
 * @param options how calls are divided among the members, and limits
 * @throws {RangeError} if an option is out of range
 * @throws {TypeError} if `balance` is of the wrong type
 */
export function workerPool<C extends Carried = Carried>(
  options: BalanceOptions = {},
): WorkerPool<C> {
  checkObject("options of workerPool()", options);
  return new Workers<C>(options, () => performance.now());
}

/** A peer that was added. */
class AddedMember<C extends Carried> extends Member<C> {
  state: ConnectionState<C>;

  constructor(peer: Peer<C>, now: () => number) {
    super(peer.remoteAddr || redactedAddress(peer.addr), now);
    this.state = { name: "connected", peer };
  }
}

/** The implementation of {@linkcode WorkerPool}. */
class Workers<C extends Carried> extends PoolCalls<C> implements WorkerPool<C> {
  readonly #members = new Map<Peer<C>, AddedMember<C>>();
  readonly #now: () => number;

  constructor(options: BalanceOptions, now: () => number) {
    super(options, now);
    this.#now = now;
  }

  get members(): Member<C>[] {
    return [...this.#members.values()];
  }

  add(peer: Peer<C>): Disposable {
    if (!(peer instanceof Peer)) {
      throw new TypeError(
        `Cannot add to pool: the member must be a Peer, and is ${kindOf(peer)}`,
      );
    }
    const before = this.#members.get(peer);
    const member = before ?? new AddedMember(peer, this.#now);
    const remove = () => this.#remove(peer, member);
    if (before === undefined && !this.hasEnded) {
      this.#members.set(peer, member);
      peer.closed.then(remove, remove);
      this.memberConnected();
    }
    return { [Symbol.dispose]: remove };
  }

  /** Removes a member, unless the peer is another one by now. */
  #remove(peer: Peer<C>, member: AddedMember<C>): void {
    if (this.#members.get(peer) !== member) return;
    this.#members.delete(peer);
    member.state = { name: "closed" };
    this.memberLeft();
  }

  close(): void {
    this.finish(sessionClosed(), { isClosed: true });
    for (const entry of [...this.#members]) this.#remove(...entry);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
