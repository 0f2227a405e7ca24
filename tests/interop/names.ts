/** The cases of go/cases.go, and what each is about. */
export const CASE_NAMES = {
  "unary": "unary",
  "error": "error",
  "not-found": "not found",
  "multi": "multi-value",
  "none": "no value",
  "stream-args": "streamed arguments",
  "stream-replies": "streamed replies",
  "hijack-1": "hijacked, 1 B there and back, half-closed",
  "hijack-1k": "hijacked, 1 KiB there and back, half-closed",
  "hijack-1m": "hijacked, 1 MiB there and back, half-closed",
  "hijack-64m": "hijacked, 64 MiB there and back, half-closed",
  "sink-64m": "hijacked, 64 MiB one way there",
  "source-64m": "hijacked, 64 MiB one way back",
  "callback": "a call from inside a handler to its caller",
  "pass-function": "a function among the arguments, called during the call",
  "keep-function": "a function among the arguments, called after the call",
  "receive-function": "a function as the result",
  "generator": "values of a generator",
  "leave-generator": "values of a generator that their reader leaves",
  "stream-to-function": "streamed arguments of a function",
  "concurrent-1000": "1,000 concurrent calls",
  "cancel": "a cancelled call",
  "peer-dies": "the peer dies in mid-stream",
} as const;

/** A case that either side's client runs. */
export type CaseName = keyof typeof CASE_NAMES;
