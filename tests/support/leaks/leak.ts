/** What a test can leave behind. */
export type LeakKind =
  | "channels"
  | "callbacks"
  | "memory"
  | "timers"
  | "listeners"
  | "rejections"
  | "errors";

/** One thing that was left behind. */
export interface Leak {
  /** What it is. */
  kind: LeakKind;
  /** A sentence that names it. */
  text: string;
}

/** What a test leaves behind on purpose, each with the reason. */
export type Leaves = Readonly<Partial<Record<LeakKind, string>>>;
