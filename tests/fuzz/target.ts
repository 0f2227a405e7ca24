import type { Random } from "../support/random.ts";

/** Something that is tried with random inputs. */
export interface Target {
  readonly name: string;
  /** Tries one input, or a few; throws if something is wrong. */
  round(random: Random): void | Promise<void>;
  /** What is worth reporting after all rounds. */
  report?(): string;
}
