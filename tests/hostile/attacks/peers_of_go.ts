/**
 * The habits of Go peers, which must never be taken for an attack.
 *
 * @module
 */
import { adjust, concat, values } from "../../support/wire.ts";
import type { Attack } from "../attack.ts";
import { SMALL } from "../bounds.ts";
import type { RawChannel } from "../raw_session.ts";

/** Values of the stream; Go credits each with two frames. */
const VALUES = 100_000;
/** The window that the peer grants. */
const WINDOW = 2 ** 20;

/** Credits a value's length and then the value, each on its own. */
class Adjusting {
  readonly #channel: RawChannel;
  #rest: Uint8Array = new Uint8Array(0);
  /** Values read, including the header. */
  seen = 0;

  constructor(channel: RawChannel) {
    this.#channel = channel;
  }

  /** Reads what has arrived; returns the frames that credit it. */
  read(): Uint8Array[] {
    const bytes = concat(this.#rest, this.#channel.takeReceived());
    const view = new DataView(bytes.buffer);
    const adjusts: Uint8Array[] = [];
    let at = 0;
    while (at + 4 <= bytes.length) {
      const size = view.getUint32(at);
      if (at + 4 + size > bytes.length) break;
      for (const part of [4, size]) {
        adjusts.push(adjust(this.#channel.remote, part));
      }
      at += 4 + size;
      this.seen++;
    }
    this.#rest = bytes.subarray(at);
    return adjusts;
  }
}

/** One attack each. */
export const attacks: readonly Attack[] = [
  {
    name: "go-adjusts",
    about: "a stream of small values, with two WINDOW_ADJUST for each",
    memory: SMALL,
    outcome: "lives",
    ms: 20_000,
    run: async (it) => {
      const session = await it.session();
      const channel = await session.open({ window: WINDOW });
      if (channel === undefined) throw new Error("Cannot open channel");
      await channel.send(values({ Selector: "count" }, [VALUES]));
      const reader = new Adjusting(channel);
      while (!channel.closed) {
        const adjusts = reader.read();
        if (adjusts.length > 0) await session.line.write(...adjusts);
        else await channel.changed();
      }
      reader.read();
      it.check(
        "all values have come",
        reader.seen > VALUES,
        `${reader.seen} values, line ${session.line.state}`,
      );
    },
  },
];
