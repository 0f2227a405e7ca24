/**
 * The tests that a runtime cannot pass, and why. One that passes all the same
 * fails the suites, so that this list stays true.
 *
 * @module
 */
import type { Runtimes } from "./runtimes.ts";

/** Tests that fail on some runtimes. */
export interface Exception {
  /** Where they fail. */
  on: readonly (keyof Runtimes)[];
  /** The tests, by file and name. */
  tests: RegExp;
  /** Why they fail. */
  reason: string;
  /** Where the runtime's own fault is reported. */
  issue?: string;
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
      /serveWebSocket(?!\(\) refuses what is no handler|\(\): (?:other requests|a host that|authenticate is not|an incomplete|a request in|an option|with resume, a handler)|\(\) that never decides)|webSocketAcceptor: (?:idleTimeout|every option|a socket|one handshake|sockets that)|an onPeer that never ends closes the peer|address, headers and protocols may be functions|a server that closes new WebSockets with|resumeStore\(\): (?:a session moves|a session that has begun|its limits)/,
    reason: "it needs Deno.serve() and Deno.upgradeWebSocket()",
  },
  {
    on: ALL,
    tests:
      /dial\(\): (?:an attempt that exceeds its timeout|the default timeout|a timeout that is too long|an abort rejects with)/,
    reason:
      "net.Server accepts every connection at once, so no server leaves a client waiting for its connection",
    sometimes: true,
  },
  {
    on: ALL,
    tests:
      /tcp: both ends disable the delay|webSocketScheme: a message of any size is one write|keepalive cannot be set while a write waits|^tests\/time_limit_test|Deno Deploy|onPeer: it knows whether this side has decrypted/,
    reason: "it looks at the connections of Deno",
  },
  {
    on: ALL,
    tests:
      /dials wss: with a trusted certificate only|uses the runtime's WebSocket, once, where it refuses|reusePort is for TCP ports, and needs a flag/,
    reason: "it is about Deno's own TLS, WebSocket and flags",
  },
  {
    on: ALL,
    tests: /a missing permission is not waited for/,
    reason: "there are no such permissions",
  },
  {
    on: ALL,
    tests:
      /isBuiltInPrototype\(\): every class of globalThis, of Deno|nothing is offered of (?:a TCP listener|a file watcher|Deno's internals|a server or a connection of Deno's)|an object of the runtime or of Node is not offered as a nested/,
    reason: "it is about objects of Deno",
  },
  {
    on: ["bun"],
    tests: /messagePortTransport: a worker that ends itself/,
    reason: "a worker that calls close() ends without a word",
  },
  {
    on: ["bun"],
    tests:
      /nothing is offered of (?:the parts of Node's|crypto.Certificate|an async hook|a URL of node:url|a serializer|a console)/,
    reason:
      "classes of Bun are not in the tables of what belongs to the runtime",
  },
  {
    on: ALL,
    tests: /socketStreams\(\): a socket that fails ends the call/,
    reason:
      "a connection that was reset fails when it is read, not when written",
  },
  {
    on: ALL,
    tests: /a session over a port that is closed ends when the greeting/,
    reason: "ports tell when the other end closes, so nothing waits",
  },
  {
    on: ALL,
    tests: /a child that fails while another process holds its stdout/,
    reason: "the runtime closes the input of a child that has exited",
    sometimes: true,
  },
  {
    on: ALL,
    tests:
      /with 256 files, 400 clients over|without files and with "evict"|dial\(\): without files it fails/,
    reason:
      "without files left, the runtime accepts connections only to close them",
    issue: "joyent/libuv#315",
  },
  {
    on: NODE,
    tests:
      /dialNative: bytes |runtime's own WebSocket: |a client of HTTP at a tcp: listener/,
    reason: "fetch() and WebSocket of Node keep a timer and a listener",
    sometimes: true,
  },
  {
    on: ["bun"],
    tests: /^rpc\/caller_stack_test.ts => (?!.*callStacks: (?:off|it is))/,
    reason: "JavaScriptCore's stacks have no frames of callers that await",
    issue: "oven-sh/bun#2704",
    sometimes: true,
  },
  {
    on: ["bun"],
    tests:
      /flood: a peer that reads nothing and sends channels opened and closed|becomes unreachable|a session that has ended and was dropped|^tests\/faults\/held_bytes_test.ts => heldBytes: /,
    reason:
      "JavaScriptCore counts memory in another way, and collects it when it likes",
    sometimes: true,
  },
  {
    on: ["bun"],
    tests: /without it, listen\(\) prints the bugs of handlers and hooks/,
    reason: "it compares an error text of V8",
  },
  {
    on: ["bun"],
    tests:
      /a stream of bytes can be read into the reader's own buffer|for a peer like the reference, a stream is a function/,
    reason: "the bodies of responses are no byte streams",
    issue: "oven-sh/bun#12908",
  },
  {
    on: ["bun"],
    tests:
      /^tests\/conformance\/stdio_test.ts => .*(?:a small message does not wait|writer\.close\(\) \| EOF|readable\.cancel\(r\))|stdio: a process exits silently when its stdin ends/,
    reason: "a stream that was ended does not always stay open to read",
    issue: "oven-sh/bun#31383",
    sometimes: true,
  },
  {
    on: ["bun"],
    tests:
      /maxCallbacks counts the streams|an onPeer that waits for a client that does not answer/,
    reason: "rejections and timers of Bun's own are reported in other turns",
    sometimes: true,
  },
  {
    on: ALL,
    tests: /ReceiveBuffer: takes time in proportion to the pieces/,
    reason: "it compares times, which differ more where the machine is busy",
    sometimes: true,
  },
  {
    on: NODE,
    tests: /nothing is offered of an event loop histogram/,
    reason: "a histogram that nothing uses runs until it is collected",
    sometimes: true,
  },
  {
    on: NODE,
    tests: /messagePortTransport: a new session over the same worker/,
    reason: "close() resolves at times before the worker is free again",
    sometimes: true,
  },
  {
    on: ALL,
    tests: /QUIC|^[^=]*quic|WebTransport|^[^=]*web_?transport/,
    reason: "it needs QUIC, which only Deno has",
    sometimes: true,
  },
];
