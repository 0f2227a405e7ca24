// State that isolates share: a list of names in Deno's key-value database. A
// part of main.ts; tried by tests/deploy_test.ts.
//
// The database is a file locally and distributed on Deno Deploy; the code is
// the same. Without a database, each process has its own names.

/** Options of {@linkcode openState}. */
export interface StateOptions {
  /** The database file. Default: the one that Deno keeps for each program. */
  path?: string | undefined;
  /**
   * Milliseconds between reads of the names; 0 for never. Locally, `watch()` sees
   * only the writes of its own process, while reads see all; on Deno Deploy,
   * `watch()` is enough. Default: 1,000.
   */
  rereadEvery?: number | undefined;
  /**
   * Milliseconds after which the names of a process that was killed expire.
   * Default: 60,000.
   */
  lease?: number | undefined;
  /** Is called with errors that reject no promise. Default: `console.warn`. */
  warn?: ((message: string) => void) | undefined;
}

/** The default of {@linkcode StateOptions.rereadEvery}. */
export const DEFAULT_REREAD_EVERY = 1_000;
/** The default of {@linkcode StateOptions.lease}. */
export const DEFAULT_LEASE = 60_000;

/** The names of one isolate, which only that isolate writes. */
interface Presence {
  names: string[];
  /** When it expires, in milliseconds since 1970. */
  until: number;
}

const PRESENCE = ["qtalk", "here"];
/** Written with every change, as `watch()` takes keys and not prefixes. */
const CHANGE = ["qtalk", "change"];

/** Opens the state, which is shared if there is a database. */
export async function openState(options: StateOptions = {}): Promise<State> {
  const { warn = console.warn } = options;
  // The type says that openKv always exists, but it may not.
  const open: typeof Deno.openKv | undefined = Deno.openKv;
  if (open === undefined) {
    warn(
      "Cannot share state: there is no Deno.openKv. Run with --unstable-kv, " +
        "which Deno Deploy does not need. Names are those of this process",
    );
    return new State(undefined, options);
  }
  return new State(await open(options.path), options);
}

/** The names of all isolates. */
export class State implements AsyncDisposable {
  readonly #kv: Deno.Kv | undefined;
  readonly #id = crypto.randomUUID();
  readonly #lease: number;
  readonly #warn: (message: string) => void;
  /** The names of this isolate, and how often each has joined. */
  readonly #own = new Map<string, number>();
  readonly #subscribers = new Set<(names: readonly string[]) => void>();
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  readonly #changes: ReadableStreamDefaultReader<unknown> | undefined;
  #names: readonly string[] = [];
  #writing: Promise<void> = Promise.resolve();
  #reading: Promise<void> | undefined;
  #readAgain = false;
  #closed: Promise<void> | undefined;

  /** Makes a state that owns the database, if there is one. */
  constructor(kv: Deno.Kv | undefined, options: StateOptions = {}) {
    const {
      rereadEvery = DEFAULT_REREAD_EVERY,
      lease = DEFAULT_LEASE,
      warn = console.warn,
    } = options;
    this.#kv = kv;
    this.#lease = lease;
    this.#warn = warn;
    if (kv === undefined) return;
    this.#changes = kv.watch([CHANGE]).getReader();
    this.#follow(this.#changes);
    if (rereadEvery > 0) {
      this.#timers.push(setInterval(() => this.#readSoon(), rereadEvery));
    }
    this.#timers.push(setInterval(() => this.#renew(), lease / 3));
  }

  /** Whether all isolates share the names. */
  get shared(): boolean {
    return this.#kv !== undefined;
  }

  /** The names, sorted and without duplicates. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** Adds a name, which must leave as often as it has joined. */
  async join(name: string): Promise<void> {
    if (this.#closed) throw new Error("Cannot join: the state is closed");
    this.#own.set(name, (this.#own.get(name) ?? 0) + 1);
    await this.#write();
  }

  /** Removes a name that has joined. */
  async leave(name: string): Promise<void> {
    if (this.#closed) return;
    const left = (this.#own.get(name) ?? 0) - 1;
    if (left > 0) this.#own.set(name, left);
    else this.#own.delete(name);
    await this.#write();
  }

  /** Calls `subscriber` with the names, now and whenever they change. */
  subscribe(subscriber: (names: readonly string[]) => void): Disposable {
    this.#subscribers.add(subscriber);
    subscriber(this.#names);
    return { [Symbol.dispose]: () => this.#subscribers.delete(subscriber) };
  }

  /** Removes the names of this isolate and closes the database. */
  close(): Promise<void> {
    return this.#closed ??= this.#end();
  }

  /** Same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #end(): Promise<void> {
    this.#subscribers.clear();
    for (const timer of this.#timers) clearInterval(timer);
    this.#own.clear();
    try {
      await this.#write();
    } catch (error) {
      this.#warn(`Cannot remove names, which will expire: ${error}`);
    }
    await this.#changes?.cancel();
    await this.#reading;
    this.#kv?.close();
  }

  /** Writes the names of this isolate, after earlier writes, and reads all. */
  async #write(): Promise<void> {
    const write = this.#writing.then(() => this.#put());
    this.#writing = write.catch(() => {});
    await write;
    await this.#read();
  }

  async #put(): Promise<void> {
    if (this.#kv === undefined) return;
    const key = [...PRESENCE, this.#id];
    const names = [...this.#own.keys()];
    const presence: Presence = { names, until: Date.now() + this.#lease };
    const change = this.#kv.atomic().set(CHANGE, crypto.randomUUID());
    if (names.length === 0) change.delete(key);
    else change.set(key, presence, { expireIn: this.#lease });
    await change.commit();
  }

  /** Reads all names; once more if they may have changed meanwhile. */
  #read(): Promise<void> {
    this.#readAgain = true;
    return this.#reading ??= (async () => {
      try {
        while (this.#readAgain) {
          this.#readAgain = false;
          this.#publish(await this.#all());
        }
      } finally {
        this.#reading = undefined;
      }
    })();
  }

  async #all(): Promise<string[]> {
    const names = new Set<string>();
    const entries = this.#kv?.list<Presence>({ prefix: PRESENCE }) ?? [];
    for await (const { key, value } of entries) {
      // Entries may outlive their expiry, and the own entry may be outdated.
      if (key.at(-1) === this.#id || value.until < Date.now()) continue;
      for (const name of value.names) names.add(name);
    }
    for (const name of this.#own.keys()) names.add(name);
    return [...names].sort();
  }

  #publish(names: string[]): void {
    if (JSON.stringify(names) === JSON.stringify(this.#names)) return;
    this.#names = names;
    for (const subscriber of this.#subscribers) subscriber(names);
  }

  #readSoon(): void {
    this.#read().catch((error) => this.#warn(`Cannot read names: ${error}`));
  }

  /** Renews the lease of this isolate, and drops those that have expired. */
  #renew(): void {
    const done = this.#own.size > 0 ? this.#write() : this.#read();
    done.catch((error) => this.#warn(`Cannot renew names: ${error}`));
  }

  async #follow(changes: ReadableStreamDefaultReader<unknown>): Promise<void> {
    try {
      while (!(await changes.read()).done) this.#readSoon();
    } catch (error) {
      this.#warn(`Cannot continue to watch names: ${error}`);
    }
  }
}
