import type { Random } from "../support/random.ts";

/** Something to try with random inputs. */
export interface Target {
  readonly name: string;
  /** Tries one or a few inputs; throws if something is wrong. */
  round(random: Random): void | Promise<void>;
  /** The report after all rounds. */
  report?(): string;
}
