/**
 * How busy other processes keep the machine while a row is measured. A healthy
 * client that shares its core with them is slow, whatever the server does. Only
 * Linux is supported; elsewhere nothing is measured.
 *
 * @module
 */

/** Ticks in a second, of the times that the kernel reports. */
const TICKS = 100;

/** Measures from its making on. */
export class OtherLoad {
  readonly #pids: readonly number[];
  readonly #since = performance.now();
  readonly #before: number | undefined;

  /**
   * Begins to measure.
   *
   * @param pids the processes that are not others; nor is this one, nor are its
   * child processes that end meanwhile
   */
  constructor(...pids: number[]) {
    this.#pids = [Deno.pid, ...pids];
    this.#before = this.#others();
  }

  /** The number of cores that others have used on average. */
  cores(): number | undefined {
    const now = this.#others();
    if (now === undefined || this.#before === undefined) return undefined;
    const seconds = (performance.now() - this.#since) / 1_000;
    return Math.max(0, (now - this.#before) / TICKS / seconds);
  }

  /** The ticks of the machine without those of the processes. */
  #others(): number | undefined {
    try {
      const own = this.#pids.reduce((sum, pid) => sum + ticksOf(pid), 0);
      return busyTicks(Deno.readTextFileSync("/proc/stat")) - own;
    } catch {
      return undefined;
    }
  }
}

/** The ticks of all cores that were not idle, from `/proc/stat`. */
export function busyTicks(stat: string): number {
  const [user, nice, system, _idle, _wait, irq, softirq, steal] = /^cpu +(.*)$/m
    .exec(stat)![1]!.split(" ").map(Number);
  return user! + nice! + system! + irq! + softirq! + steal!;
}

/** The ticks of a process and of its children that have ended. */
function ticksOf(pid: number): number {
  return processTicks(Deno.readTextFileSync(`/proc/${pid}/stat`));
}

/** The same, from `/proc/PID/stat`. */
export function processTicks(stat: string): number {
  // The name of the program may contain spaces and brackets.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ").map(Number);
  return fields.slice(11, 15).reduce((sum, ticks) => sum + ticks, 0);
}
