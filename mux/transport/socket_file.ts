/**
 * The files of Unix sockets: a file outlives its listener if the process is killed,
 * and then stands in the way of the next one.
 *
 * @module
 */

/**
 * Milliseconds that a listener may take between creating its file and accepting
 * connections. Until then, the file looks as if its server had been killed.
 */
const BIND_TIME = 20;
/** How often a file that changes is looked at again. */
const MAX_ATTEMPTS = 10;

/** What this module uses of a `Deno.FileInfo`. */
export interface FileInfo {
  /** Whether it is a socket; null where that cannot be known. */
  readonly isSocket: boolean | null;
  /** Its number in the file system, where it has one. */
  readonly ino: number | null;
  /** The file system. */
  readonly dev: number;
  /** When it was made, where that is known. */
  readonly birthtime: Date | null;
}

/** What the runtime does with such files. */
export interface SocketSystem {
  /** What is at a path; undefined if there is nothing, or it cannot be known. */
  fileAt(path: string): FileInfo | undefined;
  /** Removes a file. */
  remove(path: string): void;
  /** Connects to a socket, and closes the connection. */
  probe(path: string): Promise<void>;
  /** Waits until this process alone has a file locked; returns what unlocks it. */
  lock(path: string): Promise<() => void>;
}

const DENO: SocketSystem = {
  fileAt: (path) => fileAt(path),
  remove: (path) => Deno.removeSync(path),
  async probe(path) {
    const conn = await Deno.connect({ transport: "unix", path });
    conn.close();
  },
  lock: (path) => lock(path),
};

/**
 * What is at a path, without following a link; undefined if there is nothing, or
 * it cannot be known.
 */
export function fileAt(path: string): FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch {
    return undefined;
  }
}

/** Whether both are the same file, and not one that has replaced the other. */
export function isSameFile(a: FileInfo, b: FileInfo): boolean {
  // The number of a file that was removed is used again.
  return a.ino === b.ino && a.dev === b.dev &&
    a.birthtime?.getTime() === b.birthtime?.getTime();
}

/**
 * Makes a listener where a server that was killed did not remove its file. Never
 * removes a file that is not a socket, nor a socket that something listens on.
 *
 * Processes that do this for one path at the same time take turns, if the
 * permissions include `PATH.lock`, which exists meanwhile.
 *
 * @param path the file
 * @param listen makes the listener at the path, or throws `AddrInUse`
 * @param system what the runtime can do. Default: what Deno can
 * @throws {Error} `AddrInUse` if the file has to stay
 */
export async function replaceSocket<T>(
  path: string,
  listen: () => T | Promise<T>,
  system: SocketSystem = DENO,
): Promise<T> {
  const unlock = await system.lock(`${path}.lock`);
  try {
    for (let attempt = 1;; attempt++) {
      const stale = await findStale(path, system);
      // From here on, nothing else of this process runs.
      const now = system.fileAt(path);
      if (stale !== undefined && now !== undefined && isSameFile(stale, now)) {
        system.remove(path);
      }
      try {
        return await listen();
      } catch (error) {
        const isInUse = (error as Error).name === "AddrInUse";
        if (!isInUse || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  } finally {
    unlock();
  }
}

/**
 * The socket at a path that no server answers on; undefined if it is gone.
 *
 * @throws {Error} `AddrInUse` if what is there has to stay
 */
async function findStale(
  path: string,
  system: SocketSystem,
): Promise<FileInfo | undefined> {
  const file = system.fileAt(path);
  if (file === undefined) return undefined;
  if (!file.isSocket) {
    throw inUse("there is a file that is not a socket, which is left alone");
  }
  if (!await isRefusing(path, system)) return undefined;
  // In step with another process, both could find the same file.
  const wait = BIND_TIME * (1 + Math.random());
  await new Promise((resolve) => setTimeout(resolve, wait));
  return await isRefusing(path, system) ? file : undefined;
}

/**
 * Whether nothing listens on a socket; false if it is gone, or about to be.
 *
 * @throws {Error} `AddrInUse` if something does, or it cannot be known
 */
async function isRefusing(
  path: string,
  system: SocketSystem,
): Promise<boolean> {
  try {
    await system.probe(path);
  } catch (error) {
    const { name, message } = error as Error;
    if (name === "ConnectionRefused") return true;
    if (name === "NotFound") return false;
    // What listened on it has closed it just now, and removes it.
    if (name === "ConnectionReset") return false;
    // Too many clients wait for the listener.
    if (name !== "WouldBlock") {
      throw inUse(
        `there is a socket, and whether anything listens on it is unknown: ${message}`,
        error,
      );
    }
  }
  throw inUse("another listener serves this socket");
}

function inUse(why: string, cause?: unknown): Error {
  const options = cause === undefined ? undefined : { cause };
  if ("Deno" in globalThis) return new Deno.errors.AddrInUse(why, options);
  return Object.assign(new Error(why, options), { name: "AddrInUse" });
}

/**
 * Waits until this process alone has a file locked.
 *
 * @returns unlocks it, and removes it if this process has created it
 */
async function lock(path: string): Promise<() => void> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const opened = openLock(path);
    if (opened === undefined) break;
    const { file, created } = opened;
    await file.lock(true);
    // The process that had it before may have removed it.
    const now = fileAt(path);
    if (now !== undefined && isSameFile(file.statSync(), now)) {
      return () => {
        if (created) Deno.removeSync(path);
        file.close();
      };
    }
    file.close();
  }
  return () => {};
}

/** Opens a lock file; undefined if that is not possible, or not permitted. */
function openLock(
  path: string,
): { file: Deno.FsFile; created: boolean } | undefined {
  for (const name of ["read", "write"] as const) {
    // Asking the user for it would be a surprise.
    const { state } = Deno.permissions.querySync({ name, path });
    if (state !== "granted") return undefined;
  }
  for (const createNew of [true, false]) {
    try {
      const options = { read: true, write: true, createNew };
      return { file: Deno.openSync(path, options), created: createNew };
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) return undefined;
    }
  }
  return undefined;
}
