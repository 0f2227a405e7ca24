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
  /** Gives a file another name, too, if nothing has that name. */
  link(path: string, name: string): void;
  /** Connects to a socket, and closes the connection. */
  probe(path: string): Promise<void>;
  /** Waits until this process alone has a file locked; returns what unlocks it. */
  lock(path: string): Promise<() => void>;
}

const DENO: SocketSystem = {
  fileAt: (path) => fileAt(path),
  remove: (path) => Deno.removeSync(path),
  link(path, name) {
    if (!mayChange(name)) throw new Error("not permitted");
    Deno.linkSync(path, name);
  },
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
function fileAt(path: string): FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch {
    return undefined;
  }
}

/** Whether both are the same file, and not one that has replaced the other. */
function isSameFile(a: FileInfo, b: FileInfo): boolean {
  // The number of a file that was removed is used again.
  return a.ino === b.ino && a.dev === b.dev &&
    a.birthtime?.getTime() === b.birthtime?.getTime();
}

/** The file of a listener, while it listens. */
export interface OwnFile {
  /** Removes it, but not one that has replaced it. */
  remove(): void;
  /**
   * Keeps a file that has replaced it: runtimes remove whatever has the name when they
   * close the listener. A program may have removed the first one, and listens again.
   * For a moment, the file that is kept has another name.
   *
   * @returns gives it its name back, after the runtime has closed the listener
   */
  keepOther(): () => void;
}

/**
 * The file that a listener has made just now.
 *
 * @param system what the runtime can do. Default: what Deno can
 */
export function ownFile(path: string, system: SocketSystem = DENO): OwnFile {
  const own = system.fileAt(path);
  /** Whether what has the name now is that file; undefined if there is nothing. */
  const isOwn = () => {
    const now = system.fileAt(path);
    return now && own && isSameFile(own, now);
  };
  const removeAt = (path: string) => {
    try {
      system.remove(path);
    } catch {
      // Another process has removed it just now, or it may not be removed.
    }
  };
  return {
    remove() {
      if (isOwn()) removeAt(path);
    },
    keepOther() {
      if (isOwn() !== false) return () => {};
      const name = `${path}.${crypto.randomUUID().slice(0, 8)}`;
      try {
        system.link(path, name);
      } catch {
        // It is not permitted, or the file system has no hard links.
        return () => {};
      }
      return () => {
        try {
          system.link(name, path);
        } catch {
          // It has kept its name, or there is another one already.
        }
        removeAt(name);
      };
    },
  };
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
  if (!mayChange(path)) return undefined;
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

/** Whether Deno lets this process make and remove a file. */
function mayChange(path: string): boolean {
  // Asking the user for it would be a surprise.
  return (["read", "write"] as const).every((name) =>
    Deno.permissions.querySync({ name, path }).state === "granted"
  );
}
