/**
 * A soak run: a server process and client processes over TCP, WebSocket and a Unix
 * socket, disturbed in every way, which now and then rest and are measured.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { TalkingProcess } from "../hostile/talking_process.ts";
import { Random } from "../support/random.ts";
import type { Figures } from "./figures.ts";
import { problemsOf, type Sample } from "./verdict.ts";

/** How long and how a run goes. */
export interface SoakOptions {
  seconds: number;
  seed: number;
  /** Seconds between two rests. */
  beat: number;
  /** Called with each problem when it is found. */
  onProblem?: (text: string) => void;
  /** Called after each rest. */
  onSample?: (sample: Sample, counts: Counts) => void;
}

/** What was done so far. */
export interface Counts {
  /** Acts that ended as they should. */
  done: number;
  /** Acts that the end of their connection ended. */
  interrupted: number;
  /** Connections of the client. */
  connections: number;
  /** Listeners that drained and started again. */
  drains: number;
  /** Sessions that the server closed. */
  drops: number;
  /** Client processes that were killed. */
  kills: number;
}

/** What came of a run. */
export interface SoakReport {
  samples: Sample[];
  counts: Counts;
  /** Acts that ended as they should, by name. */
  acts: Record<string, number>;
  /** What is wrong; nothing if the run passed. */
  problems: string[];
}

/** The longest that is given to calls in progress when a listener drains. */
const MAX_DRAIN = 1_000;

/** Milliseconds that closing takes beyond that, on a machine that is busy. */
const CLOSE_SLACK = 10_000;

/** Milliseconds for the server to notice that a killed client has gone. */
const GONE_LIMIT = 15_000;

/** Milliseconds for every act that was begun to end. */
const REST_LIMIT = 120_000;

/** The most problems that a report has: a flood of them says no more. */
const MAX_PROBLEMS = 50;

/** One run. */
export class Soak implements AsyncDisposable {
  readonly #options: SoakOptions;
  readonly #random: Random;
  readonly #samples: Sample[] = [];
  readonly #problems: string[] = [];
  readonly #counts: Counts = {
    done: 0,
    interrupted: 0,
    connections: 0,
    drains: 0,
    drops: 0,
    kills: 0,
  };
  #acts: Record<string, number> = {};
  #folder = "";
  #addresses: Record<string, string> = {};
  #server: TalkingProcess | undefined;
  #client: TalkingProcess | undefined;

  /** Does not start yet. */
  constructor(options: SoakOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  /** Runs to the end. */
  async run(): Promise<SoakReport> {
    const { seconds, beat, onSample } = this.#options;
    const start = performance.now();
    const elapsed = () => (performance.now() - start) / 1_000;
    await this.#start();
    while (elapsed() < seconds && this.#problems.length < MAX_PROBLEMS) {
      const until = Math.min(elapsed() + beat, seconds);
      await this.#disturb(this.#random.fork(), () => elapsed() < until);
      const sample = await this.#rest(elapsed());
      if (sample === undefined) break;
      this.#samples.push(sample);
      onSample?.(sample, this.#counts);
      await this.#client!.ask("goOn");
    }
    for (const problem of problemsOf(this.#samples)) this.#problem(problem);
    return {
      samples: this.#samples,
      counts: this.#counts,
      acts: this.#acts,
      problems: this.#problems,
    };
  }

  /** Ends the processes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client?.[Symbol.asyncDispose]();
    await this.#server?.[Symbol.asyncDispose]();
    if (this.#folder !== "") {
      await Deno.remove(this.#folder, { recursive: true });
    }
  }

  async #start(): Promise<void> {
    this.#folder = await Deno.makeTempDir({ prefix: "soak" });
    const listening = Promise.withResolvers<Record<string, string>>();
    this.#server = this.#spawn("server", [this.#folder], ({ addresses }) => {
      if (addresses !== undefined) {
        listening.resolve(addresses as Record<string, string>);
      }
    });
    this.#addresses = await Promise.race([
      listening.promise,
      this.#server.ended.then(() => this.#died("server", this.#server!)),
    ]);
    this.#client = await this.#startClient("client");
  }

  /** Starts a client process, and waits until its workers have begun. */
  async #startClient(name: string): Promise<TalkingProcess> {
    const begun = Promise.withResolvers<void>();
    const seed = String(this.#random.int(0, 2 ** 32 - 1));
    const args = [seed, JSON.stringify(this.#addresses)];
    const process = this.#spawn(name, args, ({ started }) => {
      if (started !== undefined) begun.resolve();
    });
    const died = process.ended.then(() => this.#died(name, process));
    await Promise.race([begun.promise, died]);
    died.catch(() => {});
    return process;
  }

  #spawn(
    name: string,
    args: string[],
    onEvent: (event: Record<string, unknown>) => void,
  ): TalkingProcess {
    const script = name === "server" ? "server.ts" : "client.ts";
    return new TalkingProcess({
      script: new URL(script, import.meta.url).href,
      args,
      config: fileURLToPath(new URL("../../deno.json", import.meta.url)),
      v8Flags: ["--expose-gc"],
      onEvent: (event) => {
        if (event.problem !== undefined) {
          this.#problem(`${name}: ${event.problem}`);
        }
        onEvent(event);
      },
    });
  }

  #died(name: string, process: TalkingProcess): never {
    throw new Error(`The ${name} process has ended: ${process.death}`);
  }

  #problem(text: string): void {
    if (this.#problems.length >= MAX_PROBLEMS) return;
    this.#problems.push(text);
    this.#options.onProblem?.(text);
  }

  /** Drains listeners, closes sessions and kills clients while others work. */
  async #disturb(random: Random, more: () => boolean): Promise<void> {
    const killing = this.#killClients(random.fork(), more);
    while (more()) {
      await pause(random.int(200, 1_500));
      if (random.chance(0.4)) await this.#drain(random);
      else await this.#drop(random);
    }
    await killing;
  }

  async #drain(random: Random): Promise<void> {
    const name = random.pick(Object.keys(this.#addresses));
    const drainTimeout = random.pick([0, 50, MAX_DRAIN]);
    const limit = drainTimeout + CLOSE_SLACK;
    const answer = await this.#server!.ask(
      "drain",
      { name, drainTimeout },
      limit,
    );
    this.#counts.drains++;
    if (answer !== undefined) return;
    this.#problem(
      `server: the listener ${name} has not drained within ${limit} ms`,
    );
  }

  async #drop(random: Random): Promise<void> {
    const seed = random.int(0, 2 ** 32 - 1);
    if (await this.#server!.ask("drop", { seed }) === undefined) {
      this.#problem("server: a session has not closed within 10 s");
    }
    this.#counts.drops++;
  }

  async #killClients(random: Random, more: () => boolean): Promise<void> {
    while (more()) {
      await using victim = await this.#startClient("victim");
      const until = performance.now() + random.int(100, 4_000);
      // Not before it has done something.
      for (;;) {
        const answer = await victim.ask("counts");
        const { done, connections } = answer ?? {};
        if (Number(connections) > 0 && Number(done) > 0) {
          if (performance.now() > until || !more()) break;
        }
        if (victim.death !== undefined) break;
        await pause(50);
      }
      this.#counts.kills++;
    }
  }

  /** Lets everything end that was begun, and measures. */
  async #rest(at: number): Promise<Sample | undefined> {
    const [server, client] = [this.#server!, this.#client!];
    const resting = await client.ask("rest", {}, REST_LIMIT);
    if (resting === undefined) {
      this.#problem(
        `client: it is not at rest after ${REST_LIMIT} ms ${
          client.death ?? ""
        }`,
      );
      return undefined;
    }
    await this.#gone(Number(resting.peers));
    const [there, here] = await Promise.all([
      server.ask("figures", {}, REST_LIMIT),
      client.ask("figures", {}, REST_LIMIT),
    ]);
    if (there === undefined || here === undefined) {
      this.#problem(
        `there are no figures: ${server.death ?? client.death ?? "too late"}`,
      );
      return undefined;
    }
    for (const name of ["done", "interrupted", "connections"] as const) {
      this.#counts[name] = Number(here[name]);
    }
    this.#acts = here.acts as Record<string, number>;
    return {
      at,
      done: this.#counts.done,
      server: there.figures as Figures,
      client: here.figures as Figures,
    };
  }

  /** Waits until the server has as many sessions as the client. */
  async #gone(expected: number): Promise<void> {
    const end = performance.now() + GONE_LIMIT;
    for (;;) {
      const count = (await this.#server!.ask("peers"))?.count;
      if (count === expected) return;
      if (performance.now() > end) {
        this.#problem(
          `server: it has ${count} sessions, and the client ${expected}`,
        );
        return;
      }
      await pause(50);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
