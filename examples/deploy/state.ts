// State that isolates share: who is here, kept in Deno's key-value database and
// watched there. A part of main.ts; tried by tests/deploy_test.ts.
//
// The database is a file here and a distributed one on Deno Deploy; the code is
// the same. Where there is none, each process keeps its state for itself.

/** Choices for {@linkcode openState}. */
export interface StateOptions {
  /** The database's file. Default: the one that Deno keeps for each program. */
  path?: string | undefined;
  /**
   * Milliseconds after which the names are read again, 0 for never. A local
   * `watch()` hears the writes of its own process only, while reads see all;
   * on Deno Deploy `watch()` alone is enough. Default: 1,000.
   */
  rereadEvery?: number | undefined;
  /**
   * Milliseconds after which names are forgotten whose process ended without a
   * word. Default: 60,000.
   */
  lease?: number | undefined;
  /** Hears what nobody awaits. Default: the console. */
  warn?: ((message: string) => void) | undefined;
}

/** Default of {@linkcode StateOptions.rereadEvery}. */
export const DEFAULT_REREAD_EVERY = 1_000;
/** Default of {@linkcode StateOptions.lease}. */
export const DEFAULT_LEASE = 60_000;

/** What one isolate writes: only its own names, so that no two writes clash. */
interface Presence {
  names: string[];
  /** When it is forgotten, in milliseconds since 1970. */
  until: number;
}

const PRESENCE = ["qtalk", "here"];
/** `watch()` takes keys, not prefixes: this one is written with every change. */
const CHANGE = ["qtalk", "change"];

/** Opens the state: shared if there is a database, else of this process. */
export async function openState(options: StateOptions = {}): Promise<State> {
  const { warn = console.warn } = options;
  // A mistake if it were called: the type says that it is always there.
  const open: typeof Deno.openKv | undefined = Deno.openKv;
  if (open === undefined) {
    warn(
      "Cannot share state: there is no Deno.openKv. Run with --unstable-kv, " +
        "which Deno Deploy does not need. Names stay in this process",
    );
    return new State(undefined, options);
  }
  return new State(await open(options.path), options);
}

/** Who is here, in all isolates. */
export class State implements AsyncDisposable {
  readonly #kv: Deno.Kv | undefined;
  readonly #id = crypto.randomUUID();
  readonly #lease: number;
  readonly #warn: (message: string) => void;
  /** Names that joined in this isolate, and how many times. */
  readonly #own = new Map<string, number>();
  readonly #subscribers = new Set<(names: readonly string[]) => void>();
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  readonly #changes: ReadableStreamDefaultReader<unknown> | undefined;
  #names: readonly string[] = [];
  #writing: Promise<void> = Promise.resolve();
  #reading: Promise<void> | undefined;
  #readAgain = false;
  #closed: Promise<void> | undefined;

  /** Takes over the database, if there is one. */
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

  /** Whether other isolates see what is written here. */
  get shared(): boolean {
    return this.#kv !== undefined;
  }

  /** The names, each once, in order. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** Adds a name; it has to leave as often as it joined. */
  async join(name: string): Promise<void> {
    if (this.#closed) throw new Error("Cannot join: the state is closed");
    this.#own.set(name, (this.#own.get(name) ?? 0) + 1);
    await this.#write();
  }

  /** Takes a name that joined here away. */
  async leave(name: string): Promise<void> {
    if (this.#closed) return;
    const left = (this.#own.get(name) ?? 0) - 1;
    if (left > 0) this.#own.set(name, left);
    else this.#own.delete(name);
    await this.#write();
  }

  /** Hears the names now, and whenever they have changed. */
  subscribe(subscriber: (names: readonly string[]) => void): Disposable {
    this.#subscribers.add(subscriber);
    subscriber(this.#names);
    return { [Symbol.dispose]: () => this.#subscribers.delete(subscriber) };
  }

  /** Takes this isolate's names away, and closes the database. */
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
      this.#warn(`Cannot take names away, they expire: ${error}`);
    }
    await this.#changes?.cancel();
    await this.#reading;
    this.#kv?.close();
  }

  /** Writes this isolate's names, after the writes before, and reads all. */
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

  /** Reads once at a time, and again if something may have changed meanwhile. */
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
      // The database may take its time to forget, and lags behind ourselves.
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

  /** Says that this isolate is alive, and forgets those that are not. */
  #renew(): void {
    const done = this.#own.size > 0 ? this.#write() : this.#read();
    done.catch((error) => this.#warn(`Cannot renew names: ${error}`));
  }

  async #follow(changes: ReadableStreamDefaultReader<unknown>): Promise<void> {
    try {
      while (!(await changes.read()).done) this.#readSoon();
    } catch (error) {
      this.#warn(`Cannot watch names any more: ${error}`);
    }
  }
}
