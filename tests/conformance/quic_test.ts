// Sessions over QUIC, in both dialects: the suite's own ends talk the framed one to
// each other, and the plain one as they would to qtalk-go.

import { dialSession } from "../../talk/dial.ts";
import { listenSession } from "../../talk/listen.ts";
import { loopbackCertificate } from "../support/quic.ts";
import type { MakePair } from "./session_pair.ts";
import { testSession } from "./session_suite.ts";

const framed: MakePair = async ({ a = {}, b = {} }) => {
  const { cert, key, authority } = await loopbackCertificate();
  const listener = await listenSession("quic://127.0.0.1:0", {
    session: b,
    tls: { cert, key },
  });
  const accepting = listener[Symbol.asyncIterator]().next();
  const near = await dialSession(listener.addr, {
    session: a,
    tls: { ca: authority.cert },
  });
  const { value: far } = await accepting;
  return { a: near, b: far!, close: () => listener.close() };
};

testSession("session over QUIC", framed);
