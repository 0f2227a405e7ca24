/**
 * The tests that a runtime cannot pass, and why. One that passes all the same
 * fails the suites, so that this list stays true.
 *
 * @module
 */
import type { Runtimes } from "./runtimes.ts";

/** An issue of another project: `owner/name#1`. */
export type Issue = `${string}/${string}#${number}`;

/** Tests that fail on some runtimes. */
export interface Exception {
  /** Where they fail. */
  on: readonly (keyof Runtimes)[];
  /** The tests, by file and name. */
  tests: RegExp;
  /** Why they fail. */
  reason: string;
  /** Where the runtime's own fault is reported, or why there is no such report. */
  upstream: Issue | { none: string };
  /** Whether some runs pass: then nothing is said about that. */
  sometimes?: true;
}

const NODE = ["node", "node24"] as const;
const ALL = ["node", "node24", "bun"] as const;

/** All of them. */
export const EXCEPTIONS: readonly Exception[] = [
  {
    on: ALL,
    tests:
      /serveWebSocket(?!\(\) refuses what is no handler|\(\): (?:other requests|a host that|authenticate is not|an incomplete|a request in|an option|with resume, a handler)|\(\) that never decides)|webSocketAcceptor: (?:a request is refused|idleTimeout|every option|a socket|one handshake|sockets that)|an onPeer that never ends closes the peer|address, headers and protocols may be functions|a server that closes new WebSockets with|resumeStore\(\): (?:a session moves|a session that has begun|its limits)/,
    reason:
      'serveWebSocket() and webSocketAcceptor() take the WebSockets of Deno.upgradeWebSocket(), which only Deno has; a server here uses listen("ws://…")',
    upstream: { none: "an API of Deno" },
  },
  {
    on: ALL,
    tests:
      /dial\(\): (?:an attempt that exceeds its timeout|the default timeout|a timeout that is too long|an abort rejects with)/,
    reason:
      "the tests need a server that leaves connections waiting, and a server here accepts them at once; time limits and signals of dial() work, as other tests show",
    sometimes: true,
    upstream: { none: "as libuv and Bun are meant to work" },
  },
  {
    on: ALL,
    tests:
      /tcp: both ends disable the delay|webSocketScheme: a message of any size is one write|keepalive cannot be set while a write waits|Deno Deploy|onPeer: it knows whether this side has decrypted/,
    reason:
      "the tests replace methods of Deno's connections to see which are called; the library uses node:net here, so there is nothing to see",
    upstream: { none: "methods of Deno" },
  },
  {
    on: ALL,
    tests:
      /^mux\/transport\/deno\/tls_test|dials wss: with a trusted certificate only|uses the runtime's WebSocket, once, where it refuses|reusePort without the flag of Deno/,
    reason:
      "the tests are about the certificates that Deno trusts, about what is different on Deno Deploy, and about a flag of Deno",
    upstream: { none: "features of Deno" },
  },
  {
    on: ALL,
    tests:
      /timeLimit: an operation that finishes quickly starts no timer|limitWait: a wait that ends quickly starts no timer/,
    reason:
      "a time limit starts a timer at once; on Deno, it avoids the first timer, because that one takes milliseconds there",
    upstream: { none: "timers are loaded already" },
  },
  {
    on: ALL,
    tests: /a missing permission is not waited for/,
    reason:
      "programs need no permission for a connection here, so none can be missing",
    upstream: { none: "a feature of Deno" },
  },
  {
    on: ALL,
    tests:
      /isBuiltInPrototype\(\): every class of globalThis, of Deno|nothing is offered of (?:a TCP listener|a file watcher|Deno's internals|a server or a connection of Deno's)|an object of the runtime or of Node is not offered as a nested/,
    reason:
      "handlerFrom() refuses objects of Deno, and there are none here to try",
    upstream: { none: "objects of Deno" },
  },
  {
    on: ALL,
    tests: /handlerFrom\(\): process, which takes Deno/,
    reason:
      "handlerFrom() asks process for the modules that are newer than its tables; on Deno it does not, because `process` takes milliseconds to load there",
    upstream: { none: "process is loaded already" },
  },
  {
    on: ["bun"],
    tests: /messagePortTransport: a worker that ends itself/,
    reason:
      "workers of Bun have no close() with which one ends itself; let the other side call terminate()",
    upstream: "oven-sh/bun#29186",
  },
  {
    on: ["bun"],
    tests:
      /nothing is offered of (?:the parts of Node's|crypto.Certificate|an async hook|a URL of node:url|a serializer|a console)/,
    reason:
      "some objects of Bun's modules have classes that handlerFrom() does not know as the runtime's, so it offers their methods; do not put such objects into a service",
    upstream: { none: "Bun may have classes of its own" },
  },
  {
    on: ALL,
    tests: /socketStreams\(\): a socket that fails ends the call/,
    reason:
      "a socket that the other end has reset looks to the call like one that has ended: the caller gets an error, but onError gets none",
    upstream: { none: "no report is known" },
  },
  {
    on: ALL,
    tests: /a session over a port that is closed ends when the greeting/,
    reason:
      "the runtime says at once that the other port was closed, so the session ends without waiting for greetingTimeout",
    upstream: { none: "better than Deno" },
  },
  {
    on: ALL,
    tests: /a child that fails while another process holds its stdout/,
    reason:
      "the runtime closes the stdin of a child when it exits, so processes that have inherited it can end, and closed settles before its time limit",
    sometimes: true,
    upstream: { none: "as Node documents" },
  },
  {
    on: ALL,
    tests:
      /with 256 files, 400 clients over|without files and with "evict"|dial\(\): without files it fails/,
    reason:
      "a process that has no file descriptors left accepts connections and closes them at once, so clients see a lost connection where they would wait on Deno; raise the limit of files",
    upstream: "joyent/libuv#315",
  },
  {
    on: NODE,
    tests: /a client of HTTP at a tcp: listener/,
    reason:
      "a fetch() of Node that fails leaves a listener on a signal of its own, which the test counts as a leak",
    sometimes: true,
    upstream: "nodejs/undici#5285",
  },
  {
    on: ["bun"],
    tests: /^rpc\/caller_stack_test.ts => (?!.*callStacks: (?:off|it is))/,
    reason:
      "stacks of JavaScriptCore have no frames of functions that await, so the stack of a call's error does not lead to the caller",
    upstream: "oven-sh/bun#2704",
    sometimes: true,
  },
  {
    on: ["bun"],
    tests:
      /flood: a peer that reads nothing and sends channels opened and closed|becomes unreachable|a session that has ended and was dropped|^tests\/faults\/held_bytes_test.ts => heldBytes: /,
    reason:
      "the tests measure memory after a forced collection, which frees not everything here at once; objects that were dropped may be released later",
    sometimes: true,
    upstream: { none: "no engine promises when it frees" },
  },
  {
    on: ["bun"],
    tests: /without it, listen\(\) prints the bugs of handlers and hooks/,
    reason:
      "the test compares the text of an error that V8 words in another way",
    upstream: { none: "engines word errors differently" },
  },
  {
    on: ["bun"],
    tests:
      /a stream of bytes can be read into the reader's own buffer|for a peer like the reference, a stream is a function/,
    reason:
      "the bodies of responses and streams of blobs are not byte streams, so BYOB readers do not work on them, here or in the peer that they are sent to",
    upstream: "oven-sh/bun#12908",
  },
  {
    on: ["bun"],
    tests:
      /^tests\/conformance\/stdio_test.ts => .*(?:a small message does not wait|writer\.close\(\) \| EOF|readable\.cancel\(r\))|stdio: a process exits silently when its stdin ends/,
    reason:
      "where stdin has ended, stdout may be closed, too, and the other way round, so do not close one direction of stdio: alone",
    upstream: "oven-sh/bun#31383",
    sometimes: true,
  },
  {
    on: ["bun"],
    tests:
      /maxCallbacks counts the streams|an onPeer that waits for a client that does not answer/,
    reason:
      "promises and timers that Bun makes itself settle some turns later, so the tests see them as leaks or report the order of two events the other way round",
    sometimes: true,
    upstream: { none: "no standard orders these turns" },
  },
  {
    on: ["bun"],
    tests: /a server that demands certificates reports a client that refuses/,
    reason:
      "a client that ends the connection as soon as the handshake is over may look to the server like one without a certificate",
    sometimes: true,
    upstream: { none: "no report is known" },
  },
  {
    on: ["bun"],
    tests: /tls, (?:client|server): the end of one direction leaves the other/,
    reason:
      "TLS ends both directions as soon as the other side has ended one, so do not close one direction of a tls: transport alone; channels can be half-closed",
    upstream: "oven-sh/bun#35535",
  },
  {
    on: NODE,
    tests: /nothing is offered of an event loop histogram/,
    reason:
      "a histogram of perf_hooks that nothing uses keeps its timer until it is collected, which the test counts as a leak",
    sometimes: true,
    upstream: { none: "it keeps no process running" },
  },
  {
    on: ALL,
    tests:
      /^mux\/quic\/session_test(?!.*without --unstable-net)|^mux\/transport\/webtransport\/(?!.*an address of the wrong form)|vanishes, over QUIC$|^tests\/faults\/memory_test.ts => memory: (?:of 1 GiB offered|a grown window) over QUIC|^talk\/dial\/dial_resuming_wt_test|IPv6: (?:quic|wt): |^talk\/rendezvous\/connection\/(?:direct|broken_proof|relayed)_test|^tests\/resume\/webtransport_test|^talk\/observe\/quic_observer_test|dial\(\): (?:quic: is preferred|a network that swallows UDP)|^talk\/rendezvous\/(?:dial|listen)_test.ts => peer: (?!addresses of another form)|peer: a name that its peer has given up|rendezvousService: (?:a peer may know it|names, relays and|what is malformed)/,
    reason:
      "only Deno has QUIC and WebTransport; dial several addresses, of which this runtime takes those that it has",
    upstream: { none: "features of Deno" },
  },
];

/**
 * The alternatives of exceptions that are no test's: it has another name now, or is
 * gone.
 *
 * @param tests all tests, by file and name
 */
export function unmatchedExceptions(
  tests: readonly string[],
  exceptions: readonly Pick<Exception, "tests">[] = EXCEPTIONS,
): string[] {
  return exceptions.flatMap(({ tests }) => alternativesOf(tests.source))
    .filter((source) => {
      const pattern = new RegExp(source);
      return !tests.some((test) => pattern.test(test));
    });
}

/** The patterns that a pattern with `|`, also within groups, stands for. */
export function alternativesOf(source: string): string[] {
  let whole: string[] = [];
  let current = [""];
  for (let i = 0; i < source.length; i++) {
    if (source[i] === "|") {
      whole = whole.concat(current);
      current = [""];
      continue;
    }
    const end = endOfPart(source, i);
    const part = source.slice(i, end + 1);
    const [group] = /^\((?:\?:|(?!\?))/.exec(part) ?? [];
    const parts = group === undefined
      ? [part]
      : alternativesOf(part.slice(group.length, -1));
    current = current.flatMap((before) => parts.map((after) => before + after));
    i = end;
  }
  return whole.concat(current);
}

/** Where a character, an escape, a class or a group ends. */
function endOfPart(source: string, start: number): number {
  if (source[start] === "\\") return start + 1;
  const close = { "(": ")", "[": "]" }[source[start]!];
  if (close === undefined) return start;
  let at = start + 1;
  while (at < source.length && source[at] !== close) {
    // In a class, only an escape is more than one character.
    const isPlain = close === "]" && source[at] !== "\\";
    at = (isPlain ? at : endOfPart(source, at)) + 1;
  }
  return at;
}
