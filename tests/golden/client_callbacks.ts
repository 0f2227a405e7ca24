/**
 * What our side does as the client that is called back.
 *
 * @module
 */
import { callback } from "@qtalk/qtalk";
import {
  call,
  close,
  end,
  program,
  readAll,
  receive,
  receiveAll,
  request,
  send,
  type Step,
  writePattern,
} from "./client_steps.ts";
import { serve } from "./server_programs.ts";
import { interopClient, twice } from "./service_callbacks.ts";
import type { Program, Stage } from "./stage.ts";

/** A client that answers as the server does, too. */
function answering(...steps: Step[]): Program {
  return (stage) => {
    serve(stage);
    return program(...steps)(stage);
  };
}

/** A client with the handlers of the interop check. */
function inInterop(...steps: Step[]): Program {
  return (stage) => {
    for (const [selector, handler] of Object.entries(interopClient)) {
      stage.peer.handle(selector, handler);
    }
    return program(...steps)(stage);
  };
}

const BY_SELECTOR: Record<string, Program> = {
  "callback, a function": answering(call("callback", ["Upper", ["back"]])),
  "callback, a value": answering(
    call("callback", ["echo", { list: [1, null], n: 21 }]),
  ),
  "callback, no value": answering(call("callback", ["none", null])),
  "callback, an error": answering(call("callback", ["Fail", ["boom"]])),
  "callback, not found": answering(call("callback", ["nobody", null])),
  "callback, three levels": answering(
    call("callback", ["callback", ["callback", ["Upper", ["back"]]]]),
  ),
  "callback, the server reads a stream of the client's": answering(
    call("callback-sum", "numbers"),
  ),
  "callback, the client accepts nothing": program(
    call("callback", ["echo", 1]),
  ),
  "the server calls, unasked": answering(),
  "both call at once": answering(call("echo", "from the client")),
  "state that is announced"(stage) {
    const told = Promise.withResolvers<void>();
    stage.peer.handle("state", async (call) => {
      const names = await call.receive() as string[];
      if (names.length === 2) told.resolve();
    });
    return program(
      call("Join", ["ann"]),
      () => told.promise,
      call("Leave", ["ann"]),
    )(stage);
  },
};

const INTEROP: Record<string, Program> = {
  "interop Unary, a number": inInterop(call("Unary", 100)),
  "interop Unary, a boolean": inInterop(call("Unary", true)),
  "interop Unary, a string": inInterop(call("Unary", "hello")),
  "interop Unary, a map": inInterop(call("Unary", { foo: "bar" })),
  "interop Unary, a list": inInterop(call("Unary", [1, 2, 3])),
  "interop Stream": inInterop(
    request("Stream"),
    ...[100, true, "hello", { foo: "bar" }, [1, 2, 3]]
      .flatMap((value) => [send(value), receive]),
    end,
    receiveAll,
    close,
  ),
};
for (const size of [1, 1_024]) {
  INTEROP[`interop Bytes, ${size}`] = inInterop(
    request("Bytes"),
    writePattern(size),
    end,
    readAll,
    close,
  );
}

/** Calls that pass functions; they are made for each replay. */
const FUNCTIONS: Record<string, (stage: Stage) => Step[]> = {
  "a function passed, called 0 times": () => [call("Ignore", [twice])],
  "a function passed, called once": () => [call("Apply", [twice, 21])],
  "a function passed, called twice": () => [call("ApplyTwice", [twice, 21])],
  "a function passed in two calls"() {
    // The same in both, as a function alone would not be.
    const kept = callback(twice);
    return [call("Apply", [kept, 1]), call("Apply", [kept, 2])];
  },
  "a function passed inside a map": () => [
    call("Each", [
      { items: ["Ann", "Bo"], fn: (name: string) => name.length },
    ]),
  ],
  "two functions passed, the first called": () => [tryWith(21)],
  "two functions passed, the second called and failing": () => [tryWith(-1)],
  "a function passed and taken away"() {
    const kept = callback(twice);
    return [async (actor) => {
      const called = call("Apply", [kept, 21])(actor);
      // Not before the call: then it could not be sent at all.
      kept.release();
      await called;
    }];
  },
  "a function kept and called later"() {
    const kept = callback(twice);
    return [
      call("Keep", [kept]),
      call("Kept", [1]),
      call("Kept", [2]),
      () => kept.release(),
      call("Kept", [3]),
    ];
  },
  "a function kept and called unasked": () => [
    call("Remind", [callback(twice), 21]),
  ],
  "a function in a result": () => [async (actor) => {
    const { stage } = actor;
    const add = await stage.peer.call("Adder", [20]) as (
      n: number,
    ) => Promise<unknown>;
    // It came as a pointer, and is a function here.
    stage.got({ $fnptr: "d1serveradder0000001" });
    await stage.take(add(22));
    await stage.take(add(0));
  }],
  "a function given to a function": () => [
    call("With", [(fn: (n: number) => unknown) => fn(21)]),
  ],
};

function tryWith(n: number): Step {
  return call("Try", [{ n, ok: twice, fail: (text: string) => Error(text) }]);
}

/** Programs by the names of the recordings. */
export const CALLBACK_PROGRAMS: Readonly<Record<string, Program>> = {
  ...BY_SELECTOR,
  ...INTEROP,
  ...Object.fromEntries(
    Object.entries(FUNCTIONS).map(([name, steps]): [string, Program] => [
      name,
      (stage) => program(...steps(stage))(stage),
    ]),
  ),
};
