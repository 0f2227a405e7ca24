/**
 * What only peers of this package have, tried between all runtimes: metadata,
 * deadlines, and what errors carry. The names of the methods are not those of the
 * Go service.
 *
 * @module
 */
import {
  type Call,
  CallError,
  handlerFrom,
  type Peer,
  RemoteError,
  withCall,
} from "@qtalk/qtalk";

/** The name of the case for clients of other runtimes. */
export const EXTENDED = "extended";

/** What the service answers these cases with. */
export const extendedService = {
  /** Says what came with the call. */
  context: withCall((call: Call) => {
    call.responseMeta["node"] = "a";
    const left = call.deadline === undefined
      ? null
      : call.deadline - performance.now();
    return { meta: call.meta, left };
  }),
  /** Refuses the call. */
  refuse() {
    throw new CallError("There is none left", {
      code: "out-of-stock",
      details: { left: 0 },
      meta: { shop: 5 },
      cause: new TypeError("The shelf is empty"),
    });
  },
};

/** The handler for {@linkcode extendedService}. */
export function extendedHandler(): ReturnType<typeof handlerFrom> {
  return handlerFrom(extendedService);
}

/** Metadata, a deadline, and an error with all that it can carry. */
export async function extendedCase(peer: Peer): Promise<void> {
  const meta = { token: "t", list: [1, null] };
  const response = await peer.request("extended.context", null, {
    meta,
    timeout: 60_000,
  });
  const { meta: sent, left } = response.value as {
    meta: unknown;
    left: number;
  };
  expect("metadata of the call", sent, meta);
  expect("metadata of the response", response.meta, { node: "a" });
  expect("a deadline", left > 0 && left <= 60_000, true);
  expect("no more", await peer.call("extended.context"), {
    meta: {},
    left: null,
  });
  const error = await peer.call("extended.refuse").catch((error) => error);
  expect("the class", error instanceof RemoteError, true);
  const { code, details, text, remoteName, meta: shop, cause } =
    error as RemoteError;
  expect("the error", { code, details, text, remoteName, shop }, {
    code: "out-of-stock",
    details: { left: 0 },
    text: "There is none left",
    remoteName: "CallError",
    shop: { shop: 5 },
  });
  expect("its cause", (cause as RemoteError).text, "The shelf is empty");
}

function expect(what: string, actual: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: got ${a}, expected ${b}`);
}
