import { SAFETY_STOP } from "./bounds.ts";
import { resident, residentPeak } from "./resident.ts";
import type { TalkingProcess } from "./talking_process.ts";
import { mib } from "./verdict.ts";

/** Milliseconds between two looks. */
const INTERVAL = 20;

/** Watches the size of a process, and kills it when it grows too large. */
export class SizeWatch {
  readonly #process: TalkingProcess;
  readonly #peak: Promise<number | undefined>;
  #going = true;
  /** Why the process was killed, if it was. */
  stopped: string | undefined;

  /** Begins to watch. */
  constructor(process: TalkingProcess) {
    this.#process = process;
    this.#peak = this.#look();
  }

  /** Stops watching; returns the largest size in bytes. */
  stop(): Promise<number | undefined> {
    this.#going = false;
    return this.#peak;
  }

  async #look(): Promise<number | undefined> {
    const { pid } = this.#process;
    let peak: number | undefined;
    do {
      peak = await residentPeak(pid) ?? await resident(pid) ?? peak;
      if (peak !== undefined && peak > SAFETY_STOP) {
        this.stopped = `stopped at ${mib(peak)}`;
        this.#process.kill();
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, INTERVAL));
    } while (this.#going && this.#process.death === undefined);
    return await residentPeak(pid) ?? peak;
  }
}
