// Sessions over QUIC, in both dialects: the suite's own ends talk the framed one to
// each other, and the plain one as they would to qtalk-go.

import { dialSession } from "../../talk/dial/dial.ts";
import { listenSession } from "../../talk/listener/listen.ts";
import { FRAMED_PROTOCOL, PLAIN_PROTOCOL } from "../../mux/quic/protocol.ts";
import { loopbackCertificate, quicSessions } from "../support/quic.ts";
import type { MakePair } from "./session_pair.ts";
import { type PrepareSessions, testPreparedRpc } from "./rpc_suite.ts";
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

// In this dialect, the number of channels depends on it.
const manyChannels = { maxHeldSize: 2 ** 30 };

const plain: MakePair = async ({ a, b }) => {
  const { near, far, close } = await quicSessions(
    PLAIN_PROTOCOL,
    { ...manyChannels, ...a },
    { ...manyChannels, ...b },
  );
  return { a: near, b: far, close };
};

// The dialect of qtalk-go has neither answers nor credit, and one way to end.
const silent = "nothing answers the opening of a stream";
const oneEnd = "the end of a stream is all that the other side sees";
const noCredit = "the windows are those of QUIC, which are larger";

testSession("session over QUIC without frames", plain, {
  "accept() is given every channel in its order, those that waited included":
    silent,
  "a handler of accept() that throws costs its channel and nothing else":
    oneEnd,
  "opens that nobody accepts wait, up to the backlog; then they are refused":
    silent,
  "with a backlog of 0 only who is waited for gets in": silent,
  "a peer that opens more channels than this side allows is refused, until one is closed":
    silent,
  "refused opens free their places": silent,
  "an open that is given up rejects with the signal's reason, and its channel is closed when it comes":
    silent,
  "a write() beyond the peer's window waits until the peer's reader takes":
    noCredit,
  "bytes that arrived and were not read return no credit": noCredit,
  "a reader that stops holds up its own channel and no other": noCredit,
  "a chunk that is no Uint8Array is refused, and its channel closed": oneEnd,
  "writer.abort(r) | CLOSE | pending writes reject with r; what arrived can still be read":
    oneEnd,
  "readable.cancel(r) | – | what comes in is dropped and its credit returned until EOF or CLOSE, so the peer's writer does not hang":
    noCredit,
  "both directions closed (a cancelled readable counts) | CLOSE, after what write() had accepted | closed when CLOSE went both ways":
    oneEnd,
  "channel.close() | EOF and CLOSE, after what write() had accepted | close() resolves when CLOSE has gone to the transport, closed when CLOSE went both ways":
    oneEnd,
  "channel.close() | CLOSE | writes still waiting reject, unread bytes are dropped":
    noCredit,
  "peer's CLOSE | CLOSE back | readable delivers what is buffered, then ends cleanly; writable errors":
    oneEnd,
  "transport ends | – | writable errors; readable of a channel with neither EOF nor CLOSE delivers, then errors with connection-lost; pending opens reject; session.closed resolves if the end came between frames":
    silent,
  "close() releases everybody who waits, here with session-closed, there with connection-lost":
    silent,
  "channels that are closed before their session end cleanly": oneEnd,
  "streams that are first asked for after the end know of it": oneEnd,
});

/** More pairs than a test makes. */
const PAIRS = 3;

/** Connects beforehand, since the tests of RPC make their sessions at once. */
function prepared(protocol: string): PrepareSessions {
  return async (t) => {
    const pairs = await Promise.all(
      Array.from({ length: PAIRS }, () => quicSessions(protocol)),
    );
    t.defer(async () => {
      for (const { near, far, close } of pairs) {
        await Promise.all([near.close(), far.close()]);
        close();
      }
    });
    let made = 0;
    return () => {
      const { near, far } = pairs[made++]!;
      return [near, far];
    };
  };
}

testPreparedRpc("RPC over QUIC", prepared(FRAMED_PROTOCOL));

testPreparedRpc("RPC over QUIC without frames", prepared(PLAIN_PROTOCOL), {
  "a call that is given up rejects, and its handler's signal aborts": oneEnd,
  "a call past its time limit rejects with timeout":
    "closing waits for what was sent, by a timer, which the test's clock holds",
});
