/**
 * Either end of a WebSocket, frame by frame: for tests that say everything
 * themselves.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Transport } from "../../mux/types.ts";
import { concat, text, utf8 } from "./wire.ts";

/** A frame as a server sends it. */
export function serverFrame(
  opcode: number,
  payload: Uint8Array | string = "",
  { final = true, bits = 0, masked = false } = {},
): Uint8Array<ArrayBuffer> {
  const bytes = typeof payload === "string" ? utf8(payload) : payload;
  const { length } = bytes;
  const first = (final ? 0x80 : 0) | bits | opcode;
  const flag = masked ? 0x80 : 0;
  const head = length < 126
    ? [first, flag | length]
    : length < 65_536
    ? [first, flag | 126, length >> 8, length & 255]
    : [first, flag | 127, 0, 0, 0, 0, ...uint32(length)];
  return concat(Uint8Array.from(head), bytes);
}

/** A frame as a client sends it. */
export function clientFrame(
  opcode: number,
  payload: Uint8Array | string = "",
  { key = [0x37, 0xfa, 0x21, 0x3d], ...options }: {
    key?: number[];
    final?: boolean;
    bits?: number;
  } = {},
): Uint8Array<ArrayBuffer> {
  const plain = typeof payload === "string" ? utf8(payload) : payload;
  const masked = plain.map((byte, i) => byte ^ key[i % 4]!);
  const frame = serverFrame(opcode, masked, { ...options, masked: true });
  const head = frame.length - masked.length;
  return concat(frame.subarray(0, head), Uint8Array.from(key), masked);
}

function uint32(n: number): number[] {
  return [n >>> 24, n >>> 16 & 255, n >>> 8 & 255, n & 255];
}

/** A frame that an end sent. */
export interface ClientFrame {
  opcode: number;
  payload: Uint8Array;
  /** The masking key that a client used; empty if a server sent it. */
  key: Uint8Array;
}

/** Takes a client's frame off the front of `bytes`, if it is all there. */
export function parseClientFrame(
  bytes: Uint8Array,
): { frame: ClientFrame; rest: Uint8Array } | undefined {
  return parseFrame(bytes, 4);
}

/** Takes a server's frame off the front of `bytes`, if it is all there. */
export function parseServerFrame(
  bytes: Uint8Array,
): { frame: ClientFrame; rest: Uint8Array } | undefined {
  return parseFrame(bytes, 0);
}

function parseFrame(
  bytes: Uint8Array,
  keySize: 0 | 4,
): { frame: ClientFrame; rest: Uint8Array } | undefined {
  if (bytes.length < 2) return undefined;
  const [first, second] = bytes as unknown as [number, number];
  assertEquals(first & 0x70, 0, "no extension is used");
  assertEquals(first & 0x80, 0x80, "every message is one frame");
  assertEquals(
    second & 0x80,
    keySize << 5,
    "a client masks, a server does not",
  );
  let length = second & 0x7f;
  let at = 2;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (length === 126) {
    if (bytes.length < 4) return undefined;
    length = view.getUint16(2);
    assert(length > 125, "the shortest form of a length is used");
    at = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return undefined;
    length = Number(view.getBigUint64(2));
    assert(length > 65_535, "the shortest form of a length is used");
    at = 10;
  }
  const start = at + keySize;
  if (bytes.length < start + length) return undefined;
  const key = bytes.slice(at, start);
  const payload = bytes.slice(start, start + length);
  if (keySize > 0) {
    for (let i = 0; i < length; i++) payload[i]! ^= key[i % 4]!;
  }
  return {
    frame: { opcode: first & 0x0f, payload, key },
    rest: bytes.subarray(start + length),
  };
}

/** An end whose every word a test says. It reads all the time. */
class ScriptedEnd {
  readonly #transport: Transport;
  readonly #parse: typeof parseClientFrame;
  #bytes: Uint8Array = new Uint8Array(0);
  #sent = Promise.resolve();
  #ended = false;
  #wake: (() => void) | undefined;

  /** Takes one end of a connection; `parse` reads the frames of the other. */
  constructor(transport: Transport, parse: typeof parseClientFrame) {
    this.#transport = transport;
    this.#parse = parse;
    void this.#read();
  }

  /** Sends bytes, or text, as they are; whether they are read is no matter. */
  send(...parts: (Uint8Array | string)[]): void {
    const bytes = parts.map((p) => typeof p === "string" ? utf8(p) : p);
    this.#sent = this.#sent.then(() => this.#transport.write(concat(...bytes)));
    this.#sent.catch(() => {});
  }

  /** Reads the head of a request, or of the answer to one. */
  async request(): Promise<string> {
    for (;;) {
      const head = text(this.#bytes);
      const end = head.indexOf("\r\n\r\n");
      if (end >= 0) {
        this.#bytes = this.#bytes.subarray(end + 4);
        return head.slice(0, end);
      }
      assert(await this.#more(), "the connection ended before the head did");
    }
  }

  /** Everything up to the end of the connection, as text. */
  async rest(): Promise<string> {
    while (await this.#more());
    return text(this.#bytes);
  }

  /** The next frame of the other end; undefined at the end of the connection. */
  async frame(): Promise<ClientFrame | undefined> {
    for (;;) {
      const parsed = this.#parse(this.#bytes);
      if (parsed !== undefined) {
        this.#bytes = parsed.rest;
        return parsed.frame;
      }
      if (!await this.#more()) return undefined;
    }
  }

  /** Ends the connection, and waits until nothing is being sent any more. */
  async end(): Promise<void> {
    await this.#transport.close();
    await this.#sent.catch(() => {});
  }

  async #read(): Promise<void> {
    for (;;) {
      const chunk = await this.#transport.read().catch(() => null);
      if (chunk === null) break;
      this.#bytes = concat(this.#bytes, chunk);
      this.#wake?.();
    }
    this.#ended = true;
    this.#wake?.();
  }

  async #more(): Promise<boolean> {
    if (this.#ended) return false;
    await new Promise<void>((resolve) => this.#wake = resolve);
    return !this.#ended;
  }
}

/** A server whose every word a test says. */
export class ScriptedServer extends ScriptedEnd {
  /** Takes the server's end of a connection. */
  constructor(transport: Transport) {
    super(transport, parseClientFrame);
  }
}

/** A client whose every word a test says. */
export class ScriptedClient extends ScriptedEnd {
  /** Takes the client's end of a connection. */
  constructor(transport: Transport) {
    super(transport, parseServerFrame);
  }
}

/** The answer that agrees to a client's request. */
export async function agreement(request: string): Promise<string> {
  const key = /^sec-websocket-key: (.*)$/im.exec(request)![1];
  const digest = await crypto.subtle.digest(
    "SHA-1",
    utf8(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`),
  );
  const accept = btoa(String.fromCharCode(...new Uint8Array(digest)));
  return [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${accept}`,
  ].join("\r\n");
}

/** The request of a client that speaks no WebSocket after it. */
export function upgradeRequest(host: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode([
    "GET / HTTP/1.1",
    `host: ${host}`,
    "upgrade: websocket",
    "connection: Upgrade",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version: 13",
    "",
    "",
  ].join("\r\n"));
}
