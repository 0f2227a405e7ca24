import { Session } from "../../mux/session.ts";
import { memoryTransports } from "../../mux/transport/memory.ts";
import { testSession } from "./session_suite.ts";

testSession("session over memory", ({ a, b }) => {
  const [left, right] = memoryTransports();
  return Promise.resolve({
    a: new Session(left, a),
    b: new Session(right, b),
    close() {},
  });
});
