/**
 * Transports over message ports, workers and windows.
 *
 * @module
 */
import { checkMethods } from "../../../check_option.ts";
import type { Transport } from "../../types.ts";
import {
  MessageTransport,
  type MessageTransportOptions,
} from "./message_transport.ts";
import { eventsOf, type NodeWorkerLike } from "./node_worker.ts";

export type { MessageTransportOptions, NodeWorkerLike };

/**
 * What this module uses of a `MessagePort`, a `Worker`, or the global scope of a
 * worker (`self`).
 */
export interface MessagePortLike extends EventTarget {
  /** Sends a message. */
  postMessage(message: unknown, transfer?: object[]): void;
  /** Starts to receive the messages of a `MessagePort`. */
  start?(): void;
  /** Closes a `MessagePort`, or ends the worker whose scope this is. */
  close?(): void;
  /** Ends a `Worker`. */
  terminate?(): unknown;
}

/** What this module uses of a `Window`. */
export interface WindowLike {
  /** Sends a message to a document of one origin only. */
  postMessage(
    message: unknown,
    targetOrigin: string,
    transfer: object[],
  ): void;
}

/**
 * Makes a transport of a `MessagePort`, a `Worker` or, in a worker, its global
 * scope (`self`). A `Worker` of `node:worker_threads` works, too, and in it
 * `parentPort`. Both ends make one, in any order. Other messages on the same port
 * are ignored.
 *
 * The other end has to start within `greetingTimeout`. A port carries one transport
 * at a time; when that is closed, both ends can make another one. Closing the
 * transport therefore neither closes a `MessagePort` nor ends a worker: do that
 * afterwards, because an open port keeps a process running on some versions of
 * Deno. If the port is closed or the worker is terminated first, the transport
 * fails, and the other end is notified. A new transport over a port or a worker
 * that an earlier transport has seen end fails at once, and in Node so does one
 * over any closed port. Deno does not say whether a port is closed: there, such a
 * transport fails after `greetingTimeout`.
 *
 * Bytes are copied once and then transferred, and short messages are cloned. A
 * write waits while more than 1 MiB has been sent but not read. To other listeners
 * of the port, the messages are objects with a field `qtalk`, or strings that begin
 * with `"\0qtalk"`, which listeners that are added later do not see.
 *
 * @example A worker that answers calls
 * ```ts ignore
 * // worker.ts
 * import { handlerFrom, Peer } from "@qtalk/qtalk";
 * import { messagePortTransport, qmux } from "@qtalk/qtalk/mux";
 *
 * new Peer(qmux(messagePortTransport(self)), {
 *   handler: handlerFrom({ add: (a: number, b: number) => a + b }),
 * });
 *
 * // main.ts
 * const worker = new Worker(import.meta.resolve("./worker.ts"), {
 *   type: "module",
 * });
 * await using peer = new Peer(qmux(messagePortTransport(worker)));
 * console.log(await peer.call("add", [1, 2])); // 3
 * ```
 *
 * @example Both ends of a message channel
 * ```ts
 * import { messagePortTransport, qmux } from "@qtalk/qtalk/mux";
 *
 * const { port1, port2 } = new MessageChannel();
 * const a = qmux(messagePortTransport(port1));
 * const b = qmux(messagePortTransport(port2));
 * b.accept((channel) => channel.close());
 * const channel = await a.open();
 * await channel.closed;
 *
 * await a.close();
 * await b.closed;
 * port1.close();
 * port2.close();
 * ```
 *
 * @param port the port
 * @param options how long the other end may take to start
 * @throws {RangeError} if an option is out of range
 * @throws {TypeError} if it is not a port, such as `self` of Deno's main thread
 * @throws {MuxError} `invalid-state` if the port has a transport that is not
 * closed
 */
export function messagePortTransport(
  port: MessagePortLike | NodeWorkerLike,
  options: MessageTransportOptions = {},
): Transport {
  if (typeof port?.postMessage !== "function") {
    throw new TypeError(
      "Cannot connect over message port: it is not a port or a worker; `self` is one in a worker only",
    );
  }
  const isWorker = port.terminate !== undefined;
  const source = isEventTarget(port) ? port : eventsOf(port, () => {
    const watch = watchEnd(port, "terminate");
    watch.ended = true;
    watch.onEnd?.();
  });
  const transport = new MessageTransport({
    // Deno serializes a message twice as fast if there is no second argument.
    post: (message, transfer) =>
      transfer === undefined
        ? port.postMessage(message)
        : port.postMessage(message, transfer),
    source,
    isFromPeer: () => true,
    name: isWorker ? "worker" : "message port",
    isExclusive: true,
    // Only a Worker object dispatches the errors of the peer.
    reportsErrors: isWorker,
    onEnd(callback) {
      const how = isWorker ? "the worker was ended" : "the port was closed";
      if (!isWorker && isDetached(port)) {
        callback(how);
        return () => {};
      }
      const watch = watchEnd(port, isWorker ? "terminate" : "close");
      if (watch.ended) callback(how);
      watch.onEnd = () => callback(how);
      return () => watch.onEnd = undefined;
    },
  }, options);
  if ("start" in port) port.start?.();
  return transport;
}

/** Whether it dispatches events; a worker of `node:worker_threads` does not. */
function isEventTarget(
  port: MessagePortLike | NodeWorkerLike,
): port is MessagePortLike {
  return "addEventListener" in port;
}

/** What is known of the end of a port or a worker. */
interface EndWatch {
  /** Whether the program has ended it. */
  ended: boolean;
  /** Called before that. */
  onEnd: (() => void) | undefined;
}

/** The key of a port's watch, also for other copies of this module. */
const WATCH: unique symbol = Symbol.for("qtalk.endWatch");

/**
 * Watches a method of this object, which ends a port or a worker, until it is
 * called. No event tells of that in every runtime, calls would wait forever, and so
 * would those of a later session.
 */
function watchEnd(
  port: Pick<MessagePortLike, "close" | "terminate"> & { [WATCH]?: EndWatch },
  name: "close" | "terminate",
): EndWatch {
  const known = port[WATCH];
  if (known !== undefined) return known;
  const watch: EndWatch = { ended: false, onEnd: undefined };
  const original = port[name];
  const isKept = Reflect.defineProperty(port, WATCH, { value: watch });
  if (original === undefined || !isKept) return watch;
  const own = Object.getOwnPropertyDescriptor(port, name);
  const value = function (this: unknown) {
    watch.ended = true;
    watch.onEnd?.();
    // If the program has replaced the method since, that one stays.
    if (port[name] === value) {
      if (own === undefined) delete port[name];
      else Object.defineProperty(port, name, own);
    }
    return original.call(port);
  };
  Reflect.defineProperty(port, name, {
    configurable: true,
    writable: true,
    value,
  });
  return watch;
}

/**
 * Whether a port was closed, or its other end was, where the runtime says so: Node
 * refuses to transfer it. A symbol cannot be cloned, so nothing is transferred.
 */
function isDetached(port: MessagePortLike | NodeWorkerLike): boolean {
  try {
    const transfer = [port as unknown as Transferable];
    structuredClone(Symbol("never cloned"), { transfer });
  } catch (error) {
    return /detached|neutered/.test((error as Error).message);
  }
  return false;
}

/**
 * Makes a transport to another window, such as the `contentWindow` of an iframe,
 * or `parent` in an iframe. It receives only messages from that window and
 * origin, and sends only to documents of that origin.
 *
 * Both windows make one, in any order. The transport fails if the other window loads
 * another document.
 *
 * @example
 * ```ts ignore
 * import { Peer } from "@qtalk/qtalk";
 * import { qmux, windowTransport } from "@qtalk/qtalk/mux";
 *
 * const iframe = document.querySelector("iframe")!;
 * await using peer = new Peer(
 *   qmux(
 *     windowTransport(iframe.contentWindow!, "https://widgets.example"),
 *   ),
 * );
 * ```
 *
 * @param target the other window
 * @param origin the origin of its documents, such as `https://example.com`; not
 * `"*"`
 * @param here where its messages arrive. Default: this window
 * @param options how long the other window may take to start
 * @throws {TypeError} if `target` is not a window, or `origin` is not an origin
 * @throws {RangeError} if an option is out of range
 */
export function windowTransport(
  target: WindowLike,
  origin: string,
  here: EventTarget = globalThis,
  options: MessageTransportOptions = {},
): Transport {
  if (
    typeof origin !== "string" || !URL.canParse(origin) ||
    new URL(origin).origin !== origin
  ) {
    throw new TypeError(
      `Cannot connect to window: "${
        String(origin)
      }" is not an origin such as https://example.com`,
    );
  }
  checkMethods("target", target, "a window", "postMessage");
  checkMethods("here", here, "a window", "addEventListener");
  return new MessageTransport({
    post: (message, transfer = []) =>
      target.postMessage(message, origin, transfer),
    source: here,
    isFromPeer: (event) =>
      event.source as unknown === target && event.origin === origin,
    name: "window",
    isExclusive: false,
    reportsErrors: false,
    onEnd: () => () => {},
  }, options);
}
