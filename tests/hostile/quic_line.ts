/**
 * Connections of QUIC to the server under attack, whose every byte above QUIC an
 * attack chooses, and datagrams below it.
 *
 * @module
 */
import { hashOf } from "../../mux/quic/certificate_hash.ts";
import { FRAMED_PROTOCOL } from "../../mux/quic/protocol.ts";
import type { QuicConnLike } from "../../mux/quic/types.ts";
import { pinsOf } from "../../mux/transport/node/tls/tls_options.ts";
import { runtimeQuic } from "../support/quic.ts";
import type { LineState } from "./line.ts";

/** Where a server is, and its fingerprint. */
export interface QuicPlace {
  readonly address: string;
  readonly pin: string | undefined;
}

/** The host and the port of an address. */
export function hostAndPort(address: string): {
  hostname: string;
  port: number;
} {
  const { hostname, port } = new URL(address.replace(/^\w+:/, "http:"));
  return { hostname, port: Number(port) };
}

/** A connection. */
export class QuicLine {
  /** What it is made of. */
  readonly conn: QuicConnLike;
  #state: LineState = "open";
  #closed = false;
  /** Bytes written so far. */
  sent = 0;
  /** Resolves when the server has ended it, or it was closed. */
  readonly ended: Promise<void>;

  private constructor(conn: QuicConnLike) {
    this.conn = conn;
    const end = (state: LineState) => {
      if (!this.#closed) this.#state = state;
    };
    this.ended = conn.closed.then(
      () => end("ended by the server"),
      () => end("reset by the server"),
    );
  }

  /**
   * Connects.
   *
   * @param protocol what to offer
   * @param to where, if that is not the server itself
   */
  static async connect(
    { address, pin }: QuicPlace,
    protocol: string = FRAMED_PROTOCOL,
    to: { hostname: string; port: number } = hostAndPort(address),
  ): Promise<QuicLine> {
    return new QuicLine(
      await runtimeQuic().connectQuic({
        ...to,
        alpnProtocols: [protocol],
        serverCertificateHashes: pinsOf(pin)!.map(hashOf),
        keepAliveInterval: 4_000,
      }),
    );
  }

  /** What became of it. */
  get state(): LineState {
    return this.#state;
  }

  /** Whether bytes can still be sent. */
  get open(): boolean {
    return this.#state === "open" && !this.#closed;
  }

  /** Opens a stream, and writes bytes on it. */
  async stream(bytes: Uint8Array): Promise<QuicLineStream> {
    const { readable, writable } = await this.conn.createBidirectionalStream({
      waitUntilAvailable: true,
    });
    const stream = new QuicLineStream(this, readable, writable);
    await stream.write(bytes);
    return stream;
  }

  /** Closes it. */
  async close(): Promise<void> {
    this.#closed = true;
    this.conn.close({ closeCode: 0, reason: "" });
    await this.ended;
  }
}

/** A stream of a connection. */
export class QuicLineStream {
  /** What the server sends. */
  readonly readable: ReadableStream<Uint8Array>;
  readonly #line: QuicLine;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;

  /** Made by {@linkcode QuicLine.stream}. */
  constructor(
    line: QuicLine,
    readable: ReadableStream<Uint8Array>,
    writable: WritableStream<Uint8Array>,
  ) {
    this.#line = line;
    this.readable = readable;
    this.#writer = writable.getWriter();
    this.#writer.closed.catch(() => {});
  }

  /** Writes bytes; false if the stream or the connection has ended. */
  async write(bytes: Uint8Array): Promise<boolean> {
    try {
      await this.#writer.write(bytes);
      this.#line.sent += bytes.length;
      return true;
    } catch {
      return false;
    }
  }

  /** Waits for the first bytes from the server; false if there are none. */
  async answered(): Promise<boolean> {
    const reader = this.readable.getReader();
    try {
      return !(await reader.read()).done;
    } catch {
      return false;
    } finally {
      reader.releaseLock();
    }
  }

  /** Drops what the server sends. */
  async drop(): Promise<void> {
    try {
      for await (const _ of this.readable);
    } catch {
      // It was reset.
    }
  }

  /** Ends this direction. */
  async end(): Promise<void> {
    await this.#writer.close().catch(() => {});
  }
}

/** A socket that passes on what it gets, and nothing back. */
export class OneWay implements Disposable {
  readonly #socket = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
  /** Datagrams that were passed on. */
  passed = 0;

  /** Passes on to a server. */
  constructor(target: { hostname: string; port: number }) {
    void this.#run({ transport: "udp", ...target });
  }

  /** Where to send. */
  get place(): { hostname: string; port: number } {
    const { port } = this.#socket.addr as Deno.NetAddr;
    return { hostname: "127.0.0.1", port };
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  async #run(target: Deno.NetAddr): Promise<void> {
    for await (
      const [bytes, { port }] of this.#socket as AsyncIterable<
        [Uint8Array, Deno.NetAddr]
      >
    ) {
      if (port === target.port) continue;
      await this.#socket.send(bytes, target).catch(() => {});
      this.passed++;
    }
  }
}
