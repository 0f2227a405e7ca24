/**
 * A WebSocket client whose every byte an attack chooses.
 *
 * @module
 */
import { concat, text, utf8 } from "../support/wire.ts";
import type { Attacker } from "./attacker_side.ts";
import type { Line } from "./line.ts";

/** A frame as a client sends it. The key of zeros leaves the payload as it is. */
export function clientFrame(
  opcode: number,
  payload: Uint8Array,
  { final = true } = {},
): Uint8Array {
  const first = (final ? 0x80 : 0) | opcode;
  const { length } = payload;
  const size = length < 126
    ? [0x80 | length]
    : length < 65_536
    ? [0xfe, length >> 8, length & 255]
    : [0xff, 0, 0, 0, 0, length >>> 24, length >> 16 & 255, length >> 8 & 255]
      .concat(length & 255);
  return concat(Uint8Array.from([first, ...size, 0, 0, 0, 0]), payload);
}

/** The head of a request for a WebSocket, with these fields in place of others. */
export function requestHead(
  address: string,
  fields: Record<string, string> = {},
): string {
  const { host } = new URL(address);
  const all = {
    Host: host,
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    ...fields,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return ["GET / HTTP/1.1", ...lines, "", ""].join("\r\n");
}

/** Asks for a WebSocket; gives the connection and the status of the answer. */
export async function askForWebSocket(
  it: Attacker,
  fields: Record<string, string> = {},
): Promise<{ line: Line; status: number }> {
  const { promise, resolve } = Promise.withResolvers<number>();
  let head = "";
  const line = await it.line({
    onBytes(bytes) {
      if (head.includes("\r\n")) return;
      head += text(bytes);
      const status = /^HTTP\/1\.1 (\d+)/.exec(head)?.[1];
      if (status !== undefined) resolve(Number(status));
    },
  });
  void line.ended.then(() => resolve(0));
  await line.write(utf8(requestHead(it.address, fields)));
  return { line, status: await it.orTimeout(promise) ?? 0 };
}
