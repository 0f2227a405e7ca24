import { qmux } from "../../mux/session.ts";
import { testSession } from "./session_suite.ts";

testSession("session over web streams", ({ a, b }) => {
  const there = new TransformStream<Uint8Array, Uint8Array>();
  const back = new TransformStream<Uint8Array, Uint8Array>();
  const near = { readable: back.readable, writable: there.writable };
  const far = { readable: there.readable, writable: back.writable };
  return Promise.resolve({
    a: qmux(near, a),
    b: qmux(far, b),
    close() {},
  });
});
