import { assertEquals } from "@std/assert";
import type { ErrorContext, TalkError } from "../../talk/mod.ts";

/** Records what a listener itself reports, which is about no peer and no call. */
export function listenerErrors(): {
  errors: TalkError[];
  onError: (error: unknown, context: ErrorContext) => void;
} {
  const errors: TalkError[] = [];
  const onError = (error: unknown, context: ErrorContext) => {
    assertEquals(context, { peer: undefined, selector: undefined });
    errors.push(error as TalkError);
  };
  return { errors, onError };
}
