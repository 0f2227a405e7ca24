import type { Findings, Place } from "./attack.ts";
import { TalkingProcess } from "./talking_process.ts";

/** Milliseconds beyond its time that an attacker has for its report. */
const GRACE = 5_000;

/** An attacker in a process of its own. */
export class AttackerProcess implements AsyncDisposable {
  readonly #process: TalkingProcess;
  readonly #name: string;
  readonly #directory: string;

  /** Starts it, to run the attack of that name. */
  constructor(directory: string, name: string) {
    this.#name = name;
    this.#directory = directory;
    this.#process = new TalkingProcess({
      script: "attacker.ts",
      config: `${directory}/deno.json`,
    });
  }

  /** Attacks; undefined if it never says what came of it. */
  async run(place: Place, ms: number): Promise<Findings | undefined> {
    const target = { ...place, directory: this.#directory, ms };
    const answer = await this.#process.ask(
      "attack",
      { name: this.#name, target },
      ms + GRACE,
    );
    return answer?.findings as Findings | undefined;
  }

  /** Has its connections closed, at the latest with the process. */
  async leave(): Promise<void> {
    await this.#process.ask("leave", {}, 2_000);
    await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}
