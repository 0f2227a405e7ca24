import { printableText } from "../../printable_text.ts";
import type { Call } from "../types.ts";

/** The error of a handler that returned a value in place of responding. */
export function unanswered({ selector }: Call): TypeError {
  return new TypeError(
    `Cannot answer call "${
      printableText(selector)
    }": its handler returned a value and did not respond; write handlerFrom(fn) for a function whose result is the answer`,
  );
}
