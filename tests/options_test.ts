// Every option that is a number or a signal, in every function that takes it: one
// kind of error says which option has which value, and which values it may have.

import {
  type Call,
  dial,
  dialCommand,
  forward,
  json,
  listen,
  listenSession,
  memoryPair,
  memoryPool,
  memoryTransports,
  Peer,
  qmux,
  type ReconnectingPeer,
  type Responder,
  type RpcResponse,
  TalkError,
} from "@qtalk/qtalk";
import { resumeStore } from "@qtalk/qtalk/mux";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import { clientOf, contract } from "@qtalk/qtalk/contract";
import { fanOut } from "@qtalk/qtalk/fan-out";
import { rateLimit, retry } from "@qtalk/qtalk/middleware";
import { withReflection } from "@qtalk/qtalk/reflection";
import { closeOnSignals } from "@qtalk/qtalk/signals";
import { dialPool, type PeerPool, workerPool } from "@qtalk/qtalk/pool";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import { dialSession } from "@qtalk/qtalk/talk";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { checkSignal, kindOf } from "../check_option.ts";
import { ForeignController } from "./support/foreign_controller.ts";

/** Uses options, of which one is wrong; what it makes is closed again. */
type Use = (options: Record<string, never>) => unknown;

/** The numbers of a session. */
const SESSION = [
  "maxChannels",
  "backlog",
  "initialWindowSize",
  "maxWindowSize",
  "maxHeldSize",
  "maxPacketSize",
  "maxQueuedReplySize",
  "maxIdleFrames",
  "closeTimeout",
];

/** The numbers of a peer. */
const PEER = [
  "maxValueSize",
  "maxConcurrentCalls",
  "maxQueuedCalls",
  "maxQueuedCallSize",
  "callQueueTimeout",
  "maxCallbacks",
  "maxMetaSize",
];

/** Options that may have fractions. */
const FRACTIONS = [
  "timeout",
  "drainTimeout",
  "callQueueTimeout",
  "healthTimeout",
  "minDelay",
  "maxDelay",
  "jitter",
  "budget",
  "interval",
  "refreshInterval",
  "readyTimeout",
  "headStart",
  "handshakeTimeout",
  "sessionIdleTimeout",
];

const ADDRESS = "tcp://127.0.0.1:0";
const command = new Deno.Command("no-such-program", {
  stdin: "piped",
  stdout: "piped",
});

/** A peer that is closed when its options have been used. */
async function withPair(use: (peer: Peer) => unknown): Promise<unknown> {
  const [peer] = memoryPair({}, { handler: () => {} });
  try {
    return await use(peer);
  } finally {
    await peer.close();
  }
}

/** A reconnecting peer whose calls wait for a connection. */
async function whileConnecting(
  use: (peer: ReconnectingPeer) => unknown,
): Promise<unknown> {
  const waiting = Promise.withResolvers<void>();
  await using listener = await listen(ADDRESS);
  await using peer = await dial(listener.addr, {
    timeout: Infinity,
    reconnect: {
      minDelay: 60_000,
      maxDelay: 60_000,
      onState: ({ name }) => name === "waiting" && waiting.resolve(),
    },
  });
  await listener.close();
  await waiting.promise;
  return await use(peer);
}

/** The functions that take numbers, and their options. */
const FUNCTIONS: Record<string, readonly [Use, readonly string[]]> = {
  "json()": [json, ["maxDepth", "maxItems"]],
  "cbor()": [cbor, ["maxDepth", "maxItems"]],
  "msgpack()": [msgpack, ["maxDepth", "maxItems"]],
  "memoryPool()": [memoryPool, ["size", "maxSessions"]],
  "qmux()": [(options) => qmux(memoryTransports()[0], options), SESSION],
  "new Peer()": [
    async (options) => {
      const [session, other] = memoryTransports().map((end) => qmux(end));
      try {
        return new Peer(session!, options);
      } finally {
        await Promise.all([session!.close(), other!.close()]);
      }
    },
    PEER,
  ],
  "memoryPair()": [memoryPair, PEER],
  "memoryPair(), the second peer": [(options) => memoryPair({}, options), PEER],
  "memoryPair({ session })": [(session) => memoryPair({ session }), SESSION],
  "dial()": [(options) => dial(ADDRESS, options), [...PEER, "timeout"]],
  "dial({ session })": [(session) => dial(ADDRESS, { session }), SESSION],
  "dialSession()": [(options) => dialSession(ADDRESS, options), ["timeout"]],
  "dial() of several addresses": [
    (options) => dial([ADDRESS, ADDRESS], options),
    ["headStart"],
  ],
  "dial({ resume })": [
    (resume) => dial(ADDRESS, { resume }),
    ["timeout", "maxUnacknowledged"],
  ],
  "dial({ reconnect })": [
    (reconnect) => dial(ADDRESS, { reconnect }),
    ["minDelay", "maxDelay", "jitter", "maxAttempts", "maxWaitingCalls"],
  ],
  "dial({ reconnect: {} })": [
    (options) => dial(ADDRESS, { ...options, reconnect: {} }),
    [...PEER, "timeout"],
  ],
  "dialCommand()": [(options) => dialCommand(command, options), PEER],
  "dialCommand({ session })": [
    (session) => dialCommand(command, { session }),
    SESSION,
  ],
  "listen()": [
    (options) => listen(ADDRESS, options),
    [...PEER, "maxSessions", "handshakeTimeout", "sessionIdleTimeout"],
  ],
  "listen({ resume })": [
    (resume) => listen(ADDRESS, { resume }),
    ["timeout", "maxUnacknowledged", "maxDetached"],
  ],
  "resumeStore()": [
    resumeStore,
    ["timeout", "maxUnacknowledged", "maxDetached"],
  ],
  "listen({ session })": [(session) => listen(ADDRESS, { session }), SESSION],
  "listenSession()": [
    (options) => listenSession(ADDRESS, options),
    ["maxSessions"],
  ],
  "serveWebSocket()": [
    serveWebSocket,
    [...PEER, "maxSessions", "idleTimeout"],
  ],
  "serveWebSocket({ session })": [
    (session) => serveWebSocket({ session }),
    SESSION,
  ],
  "forward()": [
    (options) => withPair((peer) => forward(peer, options)),
    ["maxConcurrentCalls"],
  ],
  "retry()": [
    retry,
    ["maxAttempts", "minDelay", "maxDelay", "jitter", "budget"],
  ],
  "dialPool()": [
    (options) => dialPool([ADDRESS], options),
    [
      ...PEER,
      "timeout",
      "minDelay",
      "maxDelay",
      "jitter",
      "maxMembers",
      "maxFailovers",
      "maxWaitingCalls",
      "maxCallsPerMember",
      "maxAttempts",
      "refreshInterval",
      "readyTimeout",
      "drainTimeout",
    ],
  ],
  "workerPool()": [
    workerPool,
    ["maxFailovers", "maxWaitingCalls", "maxCallsPerMember"],
  ],
  "fanOut()": [
    (options) => fanOut(undefined, options),
    ["buffer", "replay", "maxSubscribers"],
  ],
  "subscribe() of a fan-out": [
    (options) => fanOut().subscribe(options),
    ["buffer"],
  ],
  "rateLimit()": [rateLimit, ["calls", "opens", "bytes", "interval"]],
  "withReflection()": [
    (options) => withReflection(() => {}, options),
    ["healthTimeout", "maxMethods"],
  ],
  "peer.call()": [
    (options) => withPair((peer) => peer.call("x", null, options)),
    ["timeout"],
  ],
  "peer.request()": [
    (options) => withPair((peer) => peer.request("x", null, options)),
    ["timeout"],
  ],
  "peer.remote()": [
    (options) => withPair((peer) => void peer.remote(options)),
    ["timeout"],
  ],
  "peer.close()": [
    (options) => withPair((peer) => peer.close(options)),
    ["drainTimeout"],
  ],
  "closeOnSignals()": [
    (options) => closeOnSignals([], options)[Symbol.dispose](),
    ["drainTimeout"],
  ],
  "listener.close()": [
    async (options) => {
      await using listener = await listen(ADDRESS);
      await listener.close(options);
    },
    ["drainTimeout"],
  ],
  "call() without a connection": [
    (options) => whileConnecting((peer) => peer.call("x", null, options)),
    ["timeout"],
  ],
  "close() of a reconnecting peer": [
    (options) => whileConnecting((peer) => peer.close(options)),
    ["drainTimeout"],
  ],
};

/** Values that no option may have; some allow `Infinity`. */
const WRONG: readonly unknown[] = [NaN, -1, -Infinity, "5", "", null, true, 5n];

for (const [name, [use, options]] of Object.entries(FUNCTIONS)) {
  Deno.test(`options: ${name} refuses numbers out of range with an error that names option, value and range`, async () => {
    for (const option of options) {
      const wrong = FRACTIONS.includes(option) ? WRONG : [...WRONG, 1.5];
      for (const value of wrong) {
        let error: unknown;
        try {
          await use({ [option]: value as never });
        } catch (refusal) {
          error = refusal;
        }
        assertInstanceOf(error, RangeError, `${option}: ${value}`);
        const start = `Cannot use option "${option}": ${value} is not `;
        assertEquals(error.message.slice(0, start.length), start);
        assert(
          /(?:an integer|a number) (?:from \d|of at least \d)/
            .test(error.message),
          error.message,
        );
      }
    }
  });
}

/** Asserts that a use refuses the value of an option by a TypeError that says this. */
async function assertRefused(
  use: (options: never) => unknown,
  option: string,
  value: unknown,
  said: string,
): Promise<void> {
  let error: unknown;
  try {
    await use({ [option]: value } as never);
  } catch (refusal) {
    error = refusal;
  }
  assertInstanceOf(error, TypeError, `${value}`);
  assertEquals(error.message, `Cannot use option "${option}": ${said}`);
}

Deno.test("options: whatever takes a memory pool refuses anything else", async () => {
  const uses: Use[] = [
    (options) => qmux(memoryTransports()[0], options),
    (session) => dial(ADDRESS, { session }),
    (options) => listen(ADDRESS, options),
    (session) => listen(ADDRESS, { session }),
    serveWebSocket,
  ];
  for (const use of uses) {
    for (const value of [null, 5, "5", {}]) {
      const said = `${kindOf(value)} is not from memoryPool()`;
      await assertRefused(use, "memoryPool", value, said);
    }
  }
});

Deno.test("options: resume.addresses of a wrong type is refused, although it is used later", async () => {
  for (const addresses of [null, 5, [], ["tcp://127.0.0.1:1", 5]]) {
    const dialing = dial(ADDRESS, {
      resume: { addresses: addresses as never },
    });
    const error = await dialing.catch((error) => error);
    assertInstanceOf(error, TalkError);
    assertEquals([error.code, error.permanent], ["dial-failed", true]);
    assert(error.message.includes('option "resume.addresses"'), error.message);
  }
});

Deno.test("options: an unknown tls.minVersion is refused", async () => {
  const tls = (minVersion: unknown) => ({
    minVersion: minVersion as never,
    cert: new URL("support/tls/cert.pem", import.meta.url),
    key: new URL("support/tls/key.pem", import.meta.url),
  });
  for (const version of [null, NaN, false, 5, "", "TLSv1.1"]) {
    for (
      const attempt of [
        dial("tls://127.0.0.1:1", { tls: tls(version) }),
        listen("tls://127.0.0.1:0", { tls: tls(version) }),
      ]
    ) {
      const error = await attempt.catch((error: unknown) => error);
      assertInstanceOf(error, TalkError);
      assert(error.permanent);
      const text = `option "tls.minVersion": "${version}" is not "TLSv1.2" or`;
      assert(error.message.includes(text), error.message);
    }
  }
});

/** The functions that take a signal. */
const WITH_SIGNAL: Record<string, Use> = {
  "dial()": (options) => dial(ADDRESS, options),
  "dial({ reconnect })": (options) =>
    dial(ADDRESS, { ...options, reconnect: {} }),
  "dialSession()": (options) => dialSession(ADDRESS, options),
  "dialPool()": (options) => dialPool([ADDRESS], options),
  "session.open()": (options) => withPair((peer) => peer.session.open(options)),
  "peer.call()": (options) => withPair((peer) => peer.call("x", null, options)),
  "peer.request()": (options) =>
    withPair((peer) => peer.request("x", null, options)),
  "peer.remote()": (options) => withPair((peer) => void peer.remote(options)),
  "clientOf()": (options) =>
    withPair((peer) => {
      clientOf(contract({ name: "x", methods: {} }), peer, options);
    }),
  "peer.close()": (options) => withPair((peer) => peer.close(options)),
  "listener.close()": async (options) => {
    await using listener = await listen(ADDRESS);
    await listener.close(options);
  },
  "next() of a listener": async (options) => {
    await using listener = await listen(ADDRESS);
    await listener[Symbol.asyncIterator]().next(options);
  },
  "call() without a connection": (options) =>
    whileConnecting((peer) => peer.call("x", null, options)),
  "connected() of a reconnecting peer": (options) =>
    whileConnecting((peer) => peer.connected(options)),
  "call() of a pool": (options) =>
    withPool((pool) => pool.call("x", null, options)),
  "connected() of a pool": (options) =>
    withPool((pool) => pool.connected(options)),
  "subscribe() of a fan-out": (options) => fanOut().subscribe(options),
  "receive() of a response": (options) =>
    whileContinued(({ response }) => response.receive(options)),
  "send() of a response": (options) =>
    whileContinued(({ response }) => response.send(1, options)),
  "receive() of a call": (options) =>
    whileContinued(({ call }) => call.receive(options)),
  "send() of a handler": (options) =>
    whileContinued(({ respond }) => respond.send(1, options)),
};

/** A pool of one server. */
async function withPool(use: (pool: PeerPool) => unknown): Promise<unknown> {
  await using listener = await listen(ADDRESS);
  await using pool = await dialPool([listener.addr]);
  return await use(pool);
}

/** Both ends of a call whose response continues. */
interface Continued {
  readonly response: RpcResponse;
  readonly call: Call;
  readonly respond: Responder;
}

async function whileContinued(
  use: (ends: Continued) => unknown,
): Promise<unknown> {
  const begun = Promise.withResolvers<Omit<Continued, "response">>();
  const over = Promise.withResolvers<void>();
  const [peer] = memoryPair({}, {
    async handler(call, respond) {
      await respond.continue();
      begun.resolve({ call, respond });
      await over.promise;
    },
  });
  try {
    const response = await peer.request("x");
    return await use({ response, ...await begun.promise });
  } finally {
    over.resolve();
    await peer.close();
  }
}

for (const [name, use] of Object.entries(WITH_SIGNAL)) {
  Deno.test(`options: ${name} refuses what is not a signal with an error that says so`, async () => {
    for (const signal of [new AbortController(), null, 5, true, {}, "x"]) {
      const said = `${kindOf(signal)} is not an AbortSignal`;
      await assertRefused(use, "signal", signal, said);
    }
  });
}

for (const [name, use] of Object.entries(WITH_SIGNAL)) {
  // These begin nothing that an abort could end.
  if (/^(?:peer\.remote|clientOf|\w+\.close|subscribe)\(/.test(name)) continue;
  Deno.test(`options: ${name} rejects with an AbortError if its signal has aborted and has no reason`, async () => {
    const controller = new ForeignController();
    controller.abort();
    let error: unknown;
    try {
      await use({ signal: controller.signal as never });
    } catch (thrown) {
      error = thrown;
    }
    assertInstanceOf(error, DOMException);
    assertEquals(error.name, "AbortError");
  });
}

/** A signal as some libraries make it, without the newer methods. */
function foreignSignal(reason?: Error): AbortSignal {
  const signal = {
    aborted: reason !== undefined,
    reason,
    addEventListener() {},
    removeEventListener() {},
  };
  return signal as unknown as AbortSignal;
}

for (
  const name of [
    "dial()",
    "dialPool()",
    "session.open()",
    "peer.call()",
    "call() of a pool",
    "connected() of a pool",
    "receive() of a response",
    "send() of a response",
    "send() of a handler",
  ]
) {
  Deno.test(`options: ${name} takes a signal without throwIfAborted()`, async () => {
    const reason = new Error("enough");
    let error: unknown;
    try {
      await WITH_SIGNAL[name]!({ signal: foreignSignal(reason) as never });
    } catch (thrown) {
      error = thrown;
    }
    assertStrictEquals(error, reason);
  });
}

Deno.test("checkSignal(): a signal of another library is one", () => {
  checkSignal(undefined);
  checkSignal(AbortSignal.abort());
  checkSignal(foreignSignal());
  assertThrows(() => checkSignal(null as never), TypeError);
});

Deno.test("selector: one that is no text is a TypeError", async () => {
  const [peer] = memoryPair();
  await using _ = peer;
  for (const selector of [undefined, null, 5, {}, ["x"], Symbol("x")]) {
    const wrong = selector as string;
    const nothing = () => {};
    for (
      const use of [
        () => peer.call(wrong),
        () => peer.request(wrong),
        () => whileConnecting((peer) => peer.call(wrong)),
        () => peer.handle(wrong, nothing),
      ]
    ) {
      let error: unknown;
      try {
        await use();
      } catch (refusal) {
        error = refusal;
      }
      assertInstanceOf(error, TypeError, String(selector));
      assert(/ is not a string/.test(error.message), error.message);
    }
  }
});
