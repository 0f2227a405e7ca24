/**
 * `Deno` as tests use it, and globals of Deno, made of Node's modules. What has no
 * equal there is missing, and a test that needs it fails.
 *
 * @module
 */
import fs from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { Readable } from "node:stream";
import { inspect } from "node:util";
import { parentPort, Worker as Thread } from "node:worker_threads";
import { Command, kill } from "./command.ts";
import { errors, named, namedAsync } from "./errors.ts";
import { serve } from "./http.ts";
import { register } from "./registry.ts";
import { connect, listen } from "./sockets.ts";

type Path = string | URL;

interface WriteOptions {
  append?: boolean;
  create?: boolean;
}

interface TempOptions {
  dir?: string;
  prefix?: string;
  suffix?: string;
}

const flagOf = ({ append }: WriteOptions = {}) => ({
  flag: append ? "a" : "w",
});

function infoOf(stats: fs.Stats) {
  return {
    isFile: stats.isFile(),
    isDirectory: stats.isDirectory(),
    isSymlink: stats.isSymbolicLink(),
    isSocket: stats.isSocket(),
    size: stats.size,
    mode: stats.mode,
    ino: stats.ino,
    dev: stats.dev,
    mtime: stats.mtime,
    birthtime: stats.birthtime,
  };
}

function entryOf(entry: fs.Dirent) {
  return {
    name: entry.name,
    isFile: entry.isFile(),
    isDirectory: entry.isDirectory(),
    isSymlink: entry.isSymbolicLink(),
  };
}

function makeTempDirSync({ dir = tmpdir(), prefix = "" }: TempOptions = {}) {
  return named(() => fs.mkdtempSync(`${dir}/${prefix}`));
}

function makeTempFileSync(options: TempOptions = {}): string {
  const file = `${makeTempDirSync(options)}${options.suffix ?? ""}.file`;
  fs.writeFileSync(file, "");
  return file;
}

/** A function of the file system, as one that returns a promise. */
const later = <A extends unknown[], R>(call: (...args: A) => R) =>
// deno-lint-ignore require-await -- it rejects where `call` throws
async (...args: A): Promise<R> => call(...args);

const readTextFileSync = (path: Path) =>
  named(() => fs.readFileSync(path, "utf8"));
const readFileSync = (path: Path) =>
  named(() => new Uint8Array(fs.readFileSync(path)));
const writeFileSync = (path: Path, data: Uint8Array, options?: WriteOptions) =>
  named(() => fs.writeFileSync(path, data, flagOf(options)));
const writeTextFileSync = (path: Path, text: string, options?: WriteOptions) =>
  named(() => fs.writeFileSync(path, text, flagOf(options)));
const removeSync = (path: Path, options: { recursive?: boolean } = {}) =>
  named(() => {
    const isDirectory = fs.lstatSync(path).isDirectory();
    if (!isDirectory) fs.unlinkSync(path);
    else if (options.recursive) fs.rmSync(path, { recursive: true });
    else fs.rmdirSync(path);
  });
const statSync = (path: Path) => named(() => infoOf(fs.statSync(path)));
const lstatSync = (path: Path) => named(() => infoOf(fs.lstatSync(path)));
const mkdirSync = (path: Path, options: { recursive?: boolean } = {}) =>
  named(() => void fs.mkdirSync(path, options));
const copyFileSync = (from: Path, to: Path) =>
  named(() => fs.copyFileSync(from, to));

const members = {
  test: register,
  args: process.argv.slice(2),
  pid: process.pid,
  noColor: true,
  build: {
    os: process.platform === "win32" ? "windows" : process.platform,
    arch: process.arch === "x64" ? "x86_64" : "aarch64",
    standalone: false,
  },
  errors,
  env: {
    get: (name: string) => process.env[name],
    set: (name: string, value: string) => void (process.env[name] = value),
    delete: (name: string) => void delete process.env[name],
    has: (name: string) => name in process.env,
    toObject: () => ({ ...process.env }),
  },
  permissions: { querySync: () => ({ state: "granted" }) },
  inspect,
  // A script that understands the arguments of Deno.
  execPath: () => process.env.QTALK_SUITES_DENO,
  exit: (code?: number) => process.exit(code),
  memoryUsage: () => process.memoryUsage(),
  kill,
  Command,
  connect,
  listen,
  serve,
  addSignalListener: (signal: NodeJS.Signals, listener: () => void) =>
    void process.on(signal, listener),
  removeSignalListener: (signal: NodeJS.Signals, listener: () => void) =>
    void process.off(signal, listener),
  readTextFileSync,
  readTextFile: later(readTextFileSync),
  readFileSync,
  readFile: later(readFileSync),
  writeFile: later(writeFileSync),
  writeTextFileSync,
  writeTextFile: later(writeTextFileSync),
  removeSync,
  remove: (path: Path, options: { recursive?: boolean } = {}) =>
    namedAsync(() => later(removeSync)(path, options)),
  statSync,
  openSync: (path: Path) => {
    const fd = named(() => fs.openSync(path, "a"));
    return writer(fd);
  },
  stat: later(statSync),
  lstatSync,
  lstat: later(lstatSync),
  mkdirSync,
  mkdir: later(mkdirSync),
  copyFile: later(copyFileSync),
  symlinkSync: (from: string, to: string) =>
    named(() => fs.symlinkSync(from, to)),
  readDirSync: (path: Path) =>
    named(() =>
      fs.readdirSync(path, { withFileTypes: true }).map(entryOf).values()
    ),
  makeTempDirSync,
  makeTempDir: later(makeTempDirSync),
  makeTempFileSync,
  makeTempFile: later(makeTempFileSync),
  get stdin() {
    const { stdin } = process;
    return {
      get readable() {
        return Readable.toWeb(stdin);
      },
      async read(buffer: Uint8Array): Promise<number | null> {
        for await (const chunk of stdin.iterator({ destroyOnReturn: false })) {
          const part = (chunk as Uint8Array).subarray(0, buffer.length);
          buffer.set(part);
          return part.length;
        }
        return null;
      },
      close: () => void stdin.destroy(),
    };
  },
  get stdout() {
    return writer(1);
  },
  get stderr() {
    return writer(2);
  },
};

function writer(fd: number) {
  const writeSync = (bytes: Uint8Array) => named(() => fs.writeSync(fd, bytes));
  return { writeSync, write: later(writeSync), close: () => fs.closeSync(fd) };
}

/** `Deno`. */
export const Deno = new Proxy(members, {
  get(target, name, receiver) {
    if (typeof name === "symbol" || name in target) {
      return Reflect.get(target, name, receiver);
    }
    throw new Error(`This runtime has no equal of Deno.${name}`);
  },
});

/** The events of Deno's global scope for errors that nothing has taken. */
type Stray = "unhandledrejection" | "error";

/** The listeners to them, of this process. */
const strays = { unhandledrejection: new Set(), error: new Set() } as Record<
  Stray,
  Set<(event: Event) => void>
>;

/** Whether a listener took an error. */
export function takeStray(type: Stray, error: unknown): boolean {
  const event = new Event(type, { cancelable: true });
  Object.assign(event, { error, reason: error });
  for (const listener of strays[type]) listener(event);
  return event.defaultPrevented;
}

/** The global function, for these events alone. */
export function addEventListener(
  type: Stray | "unload",
  listener: (event: Event) => void,
): void {
  if (type === "unload") process.on("exit", listener as never);
  else strays[type].add(listener);
}

/** The global function, for these events alone. */
export function removeEventListener(
  type: Stray,
  listener: (event: Event) => void,
): void {
  strays[type].delete(listener);
}

/** The global class, which Node has not. */
export const ErrorEvent = globalThis.ErrorEvent ??
  class extends Event {
    readonly message: string;
    readonly error: unknown;

    constructor(type: string, init: ErrorEventInit = {}) {
      super(type, init);
      this.message = init.message ?? "";
      this.error = init.error;
    }
  };

/** A worker, with what its messages and errors are told by. */
interface WorkerOptions {
  name?: string;
}

/** A variable of a worker's environment: the name that Deno gives to its scope. */
const WORKER_NAME = "QTALK_SUITES_WORKER";

/** The global class, which Node has in another form, and Bun without the name. */
export const Worker = globalThis.Worker === undefined
  ? class extends EventTarget {
    readonly #thread: Thread;

    constructor(url: Path, { name = "" }: WorkerOptions = {}) {
      super();
      const env = { ...process.env, [WORKER_NAME]: name };
      this.#thread = new Thread(new URL(url), { env });
      this.#thread.on("message", (data) => {
        this.dispatchEvent(new MessageEvent("message", { data }));
      });
      this.#thread.on("error", (error) => {
        this.dispatchEvent(
          new ErrorEvent("error", { error, message: (error as Error).message }),
        );
      });
    }

    postMessage(message: unknown, transfer: readonly unknown[] = []): void {
      this.#thread.postMessage(message, transfer as never);
    }

    terminate(): void {
      void this.#thread.terminate();
    }
  }
  : class extends globalThis.Worker {
    constructor(url: Path, options: WorkerOptions = {}) {
      const env = { ...process.env, [WORKER_NAME]: options.name ?? "" };
      super(url, { ...options, env } as never);
    }
  };

/** The scope of a worker. */
export const self = "Bun" in globalThis ? globalThis : parentPort ?? globalThis;
if (process.env[WORKER_NAME] !== undefined) {
  Object.assign(self, { name: process.env[WORKER_NAME] });
}
