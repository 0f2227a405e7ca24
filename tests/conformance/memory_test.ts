import { qmux } from "../../mux/session.ts";
import { memoryTransports } from "../../mux/transport/memory.ts";
import { testSession } from "./session_suite.ts";

testSession("session over memory", ({ a, b }) => {
  const [left, right] = memoryTransports();
  return Promise.resolve({
    a: qmux(left, a),
    b: qmux(right, b),
    close() {},
  });
});
