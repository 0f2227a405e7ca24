// RPC over two kinds of sessions: qmux, and one that shares none of its code
// but what it offers to any kind.

import { memoryTransports, qmux } from "@qtalk/qtalk";
import { queueSessions } from "../support/queue_session.ts";
import { testRpc } from "./rpc_suite.ts";

testRpc("RPC over qmux", () => {
  const [left, right] = memoryTransports();
  return [qmux(left), qmux(right)];
});

testRpc("RPC over queues", () => queueSessions());
