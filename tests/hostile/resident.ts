/**
 * The resident size of a process. Only Linux is supported; elsewhere nothing is
 * measured.
 *
 * @module
 */

async function field(pid: number, name: string): Promise<number | undefined> {
  try {
    const text = await Deno.readTextFile(`/proc/${pid}/status`);
    const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1];
    return kib === undefined ? undefined : Number(kib) * 1024;
  } catch {
    return undefined;
  }
}

/** The resident size in bytes. */
export function resident(pid: number): Promise<number | undefined> {
  return field(pid, "VmRSS");
}

/** The largest resident size since {@linkcode resetPeak}, in bytes. */
export function residentPeak(pid: number): Promise<number | undefined> {
  return field(pid, "VmHWM");
}

/** Resets {@linkcode residentPeak}. */
export async function resetPeak(pid: number): Promise<void> {
  try {
    await Deno.writeTextFile(`/proc/${pid}/clear_refs`, "5");
  } catch {
    // Not on this system.
  }
}
