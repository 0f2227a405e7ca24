import { RpcError } from "@qtalk/qtalk";
import { SessionState } from "../../rpc/session_state.ts";
import type { Harness } from "./harness.ts";

/** What takes the place of loading a module. */
export interface Gate {
  /** How many times the module was asked for. */
  readonly asked: number;
  /** Resolves when the first has. */
  readonly begun: Promise<void>;
  /** Lets all of them have it. */
  open(): void;
  /** Fails for all of them, and lets the next ones have it. */
  fail(): void;
}

/**
 * Keeps a module from sessions until the gate opens.
 *
 * @param method what loads the module, or imports it
 * @param error the text of the error if the gate fails
 */
export function gatedLoading(
  t: Harness,
  method:
    | "importContinuing"
    | "importReceiving"
    | "loadContinuing"
    | "loadReceiving",
  error = "gone",
): Gate {
  const states = SessionState.prototype as unknown as Record<
    typeof method,
    () => Promise<unknown>
  >;
  const load = states[method];
  const begun = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  gate.promise.catch(() => {});
  let asked = 0;
  let isBroken = false;
  states[method] = async function () {
    asked++;
    begun.resolve();
    if (!isBroken) await gate.promise;
    return await load.call(this);
  };
  t.defer(() => void (states[method] = load));
  return {
    get asked() {
      return asked;
    },
    begun: begun.promise,
    open: gate.resolve,
    fail() {
      isBroken = true;
      gate.reject(new RpcError("load-failed", error));
    },
  };
}
