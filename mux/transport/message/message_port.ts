/**
 * Transports over message ports, workers and windows.
 *
 * @module
 */
import type { Transport } from "../../types.ts";
import { MessageTransport } from "./message_transport.ts";

/**
 * What this module uses of a `MessagePort`, a `Worker`, or the global scope of a
 * worker (`self`). An object with `start()` counts as a `MessagePort` and is closed
 * with the transport.
 */
export interface MessagePortLike extends EventTarget {
  /** Sends a message. */
  postMessage(message: unknown, transfer: Transferable[]): void;
  /** Starts to receive the messages of a `MessagePort`. */
  start?(): void;
  /** Closes a `MessagePort`. */
  close?(): void;
}

/** What this module uses of a `Window`. */
export interface WindowLike {
  /** Sends a message to a document of one origin only. */
  postMessage(
    message: unknown,
    targetOrigin: string,
    transfer: Transferable[],
  ): void;
}

/**
 * Makes a transport of a `MessagePort`, a `Worker` or, in a worker, its global
 * scope (`self`). Both ends make one, in any order. Other messages on the same
 * port are ignored.
 *
 * Bytes are copied once and then transferred. A write waits while more than 1 MiB
 * was sent but not read. Closing the transport closes a `MessagePort`. It does not
 * end a worker: close the transport first, then terminate the worker.
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
 * await using a = qmux(messagePortTransport(port1));
 * await using b = qmux(messagePortTransport(port2));
 * b.accept((channel) => channel.close());
 * const channel = await a.open();
 * await channel.closed;
 * ```
 *
 * @param port the port; it must not be closed by the program
 */
export function messagePortTransport(port: MessagePortLike): Transport {
  const isPort = port.start !== undefined;
  const transport = new MessageTransport({
    post: (message, transfer = []) => port.postMessage(message, transfer),
    source: port,
    isFromPeer: () => true,
    // Only a Worker object dispatches the errors of the peer.
    reportsErrors: "terminate" in port,
    // close() of a worker's global scope would end the worker.
    close: () => isPort && port.close?.(),
  });
  port.start?.();
  return transport;
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
 * @throws {TypeError} if `origin` is not an origin
 */
export function windowTransport(
  target: WindowLike,
  origin: string,
  here: EventTarget = globalThis,
): Transport {
  if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
    throw new TypeError(
      `Cannot connect to window: "${origin}" is not an origin such as https://example.com`,
    );
  }
  return new MessageTransport({
    post: (message, transfer = []) =>
      target.postMessage(message, origin, transfer),
    source: here,
    isFromPeer: (event) =>
      event.source as unknown === target && event.origin === origin,
    reportsErrors: false,
    close() {},
  });
}
