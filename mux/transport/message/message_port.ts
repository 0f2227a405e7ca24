/**
 * What passes messages within a browser or a runtime, as transports: message
 * ports, workers from either side, windows and iframes.
 *
 * @module
 */
import type { Transport } from "../../types.ts";
import { MessageTransport } from "./message_transport.ts";

/**
 * What is used of a `MessagePort`, a `Worker`, or the scope of a worker
 * (`self`). One that has `start()` has `close()` too, and ends by it.
 */
export interface MessagePortLike extends EventTarget {
  /** Sends a message. */
  postMessage(message: unknown, transfer: Transferable[]): void;
  /** Lets messages come, of a `MessagePort`. */
  start?(): void;
  /** Ends a `MessagePort`. */
  close?(): void;
}

/** What is used of a `Window`. */
export interface WindowLike {
  /** Sends a message to documents of one origin only. */
  postMessage(
    message: unknown,
    targetOrigin: string,
    transfer: Transferable[],
  ): void;
}

/**
 * Drives a `MessagePort`, a `Worker`, or in a worker its scope (`self`), as a
 * transport; the other end does the same. Which of the two begins is no matter,
 * and other messages on the same port are left alone.
 *
 * Bytes are copied once and transferred. A write waits while more than 1 MiB
 * were sent and not read. Closing ends a `MessagePort`; a worker is left to
 * whoever started it, who closes this first and terminates the worker then.
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
 * @example Two ends of a channel
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
 * @param port nobody else closes it
 */
export function messagePortTransport(port: MessagePortLike): Transport {
  const isPort = port.start !== undefined;
  const transport = new MessageTransport({
    post: (message, transfer = []) => port.postMessage(message, transfer),
    source: port,
    isTheirs: () => true,
    // In a worker they are its own, and in a port there are none.
    errors: "terminate" in port,
    // A worker's scope has a close() too, which ends the worker.
    close: () => isPort && port.close?.(),
  });
  port.start?.();
  return transport;
}

/**
 * Drives the messages between this window and another, such as an iframe's
 * `contentWindow`, or `parent` in an iframe. Only messages of that window and
 * of that origin count, and only documents of that origin get any.
 *
 * Which of the two begins is no matter. If the other window loads another
 * document, this end fails.
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
 * @param origin the origin of its documents, `https://example.com`; not `"*"`
 * @param here where its messages arrive: this window, or a stand-in for it
 * @throws {TypeError} if `origin` is not one
 */
export function windowTransport(
  target: WindowLike,
  origin: string,
  here: EventTarget = globalThis,
): Transport {
  if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
    throw new TypeError(
      `Cannot talk to window: "${origin}" is not an origin like https://example.com`,
    );
  }
  return new MessageTransport({
    post: (message, transfer = []) =>
      target.postMessage(message, origin, transfer),
    source: here,
    isTheirs: (event) =>
      event.source as unknown === target && event.origin === origin,
    errors: false,
    close() {},
  });
}
