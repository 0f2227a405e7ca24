/**
 * A server, a healthy client and an attacker, each in its own process.
 *
 * @module
 */
import type {
  Attack,
  HealthyReport,
  Measured,
  Place,
  Setup,
} from "./attack.ts";
import { AttackerProcess } from "./attacker_process.ts";
import { LEFTOVER, SERVER_HEAP_MIB, STALL_LIMIT } from "./bounds.ts";
import { OtherLoad } from "./other_load.ts";
import { resetPeak, resident } from "./resident.ts";
import { SizeWatch } from "./size_watch.ts";
import { type Event, TalkingProcess } from "./talking_process.ts";
import { count } from "./verdict.ts";

/** Milliseconds of calls before the first attack begins. */
const WARM_UP = 300;
/** Milliseconds of calls at least, for an attack that has that long. */
const LEAST = 1_000;
/**
 * How often, and at what interval, to check for memory to be released: for longer
 * than the 10 s in which a handler may read what a caller that has left has sent.
 */
const LEAVE_LOOKS = 60, LEAVE_INTERVAL = 200;
/** Milliseconds within which a process has to start. */
const START_LIMIT = 20_000;
/** Milliseconds beyond its patience that a report may take. */
const GRACE = 5_000;

/** A row before it is judged. */
export type Unjudged = Omit<Measured, "problems">;

/** The processes that attacks on one setup share. */
export class Arena implements AsyncDisposable {
  readonly #directory: string;
  readonly #server: TalkingProcess;
  readonly #healthy: TalkingProcess;
  readonly #place: Place;
  readonly #errors: string[];
  #warm = false;

  private constructor(
    directory: string,
    server: TalkingProcess,
    healthy: TalkingProcess,
    place: Place,
    errors: string[],
  ) {
    this.#directory = directory;
    this.#server = server;
    this.#healthy = healthy;
    this.#place = place;
    this.#errors = errors;
  }

  /** Starts the server of a checkout, and the healthy client. */
  static async start(directory: string, setup: Setup): Promise<Arena> {
    const config = `${directory}/deno.json`;
    const errors: string[] = [];
    const listening = Promise.withResolvers<Place>();
    const server = new TalkingProcess({
      script: "server.ts",
      args: [directory, JSON.stringify(setup)],
      config,
      v8Flags: [`--max-old-space-size=${SERVER_HEAP_MIB}`, "--expose-gc"],
      onEvent({ address, pin, error }) {
        if (address !== undefined) listening.resolve({ address, pin } as Place);
        if (error !== undefined) errors.push(codeOf(error as Event));
      },
    });
    try {
      const place = await orDeath(listening.promise, server);
      const ready = Promise.withResolvers<void>();
      const healthy = new TalkingProcess({
        script: "healthy.ts",
        args: [directory, JSON.stringify(place), setup.codec ?? "json"],
        config,
        onEvent: () => ready.resolve(),
      });
      await orDeath(ready.promise, healthy);
      return new Arena(directory, server, healthy, place, errors);
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Whether the server still runs. */
  get alive(): boolean {
    return this.#server.death === undefined;
  }

  /** Runs an attack and measures it. */
  async measure(attack: Attack, ms: number): Promise<Unjudged> {
    await pause(this.#warm ? 0 : WARM_UP);
    this.#warm = true;
    this.#errors.length = 0;
    const before = (await this.#stats())?.alive;
    await this.#report(1_000);
    await resetPeak(this.#server.pid);
    const base = await resident(this.#server.pid);
    const watch = new SizeWatch(this.#server);
    const load = new OtherLoad(this.#server.pid, this.#healthy.pid);

    await using attackers = new AsyncDisposableStack();
    const names = [attack.name];
    if (attack.beside !== undefined) names.push(attack.beside);
    const all = names.map((name) => attackers.use(this.#attacker(name)));
    const begun = performance.now();
    const found = await Promise.all(all.map((it) => it.run(this.#place, ms)));
    // A handful of calls would not be enough to judge a short attack.
    const rest = begun + Math.min(ms, LEAST) - performance.now();
    await pause(Math.max(0, rest));
    const healthy = await this.#report(STALL_LIMIT);
    const peak = await watch.stop();
    const errors = count(this.#errors);
    const during = await this.#stats();
    await Promise.all(all.map((it) => it.leave()));
    const others = load.cores();
    const after = await this.#aliveOnceLeft(before, attack.left);
    const { documented } = attack;
    return {
      attack: attack.name,
      about: attack.about,
      bound: attack.memory,
      peak: difference(peak, base),
      held: difference(during?.alive, before),
      left: difference(after, before),
      usage: during?.usage,
      healthy,
      died: watch.stopped ?? this.#server.death,
      errors,
      findings: found[0],
      others,
      ...(documented !== undefined && { documented }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#healthy[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
  }

  #attacker(name: string): AttackerProcess {
    return new AttackerProcess(this.#directory, name);
  }

  async #report(patience: number): Promise<HealthyReport | undefined> {
    const answer = await this.#healthy.ask(
      "report",
      { patience },
      patience + GRACE,
    );
    return answer?.report as HealthyReport | undefined;
  }

  /** What the server says of its memory and its sessions. */
  async #stats(): Promise<{ alive: number; usage: unknown } | undefined> {
    return await this.#server.ask("stats") as
      | { alive: number; usage: unknown }
      | undefined;
  }

  /** Bytes alive once the server has released what the attacker caused. */
  async #aliveOnceLeft(before: number | undefined, allowed = 0) {
    let alive = (await this.#stats())?.alive;
    for (let i = 0; i < LEAVE_LOOKS; i++) {
      const left = difference(alive, before);
      if (left === undefined || left <= allowed + LEFTOVER) break;
      await pause(LEAVE_INTERVAL);
      alive = (await this.#stats())?.alive;
    }
    return alive;
  }
}

function codeOf({ code, name }: Event): string {
  return String(code ?? name);
}

function difference(
  after: number | undefined,
  before: number | undefined,
): number | undefined {
  return after === undefined || before === undefined
    ? undefined
    : after - before;
}

/** Waits until a process has started, or fails when it does not. */
async function orDeath<T>(
  started: Promise<T>,
  process: TalkingProcess,
): Promise<T> {
  const failed = Promise.withResolvers<never>();
  const timer = setTimeout(() => process.kill(), START_LIMIT);
  const onEnd = () => {
    failed.reject(new Error(`Cannot start process: ${process.death}`));
  };
  void process.ended.then(onEnd);
  failed.promise.catch(() => {});
  try {
    return await Promise.race([started, failed.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
