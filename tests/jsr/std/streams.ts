/**
 * Stands in for `@std/streams`: what examples and tests use of it.
 *
 * @module
 */
import { arrayBuffer, json, text } from "node:stream/consumers";

/** Reads a stream of bytes or strings into one string. */
export function toText(stream: ReadableStream): Promise<string> {
  return text(stream);
}

/** Reads a stream of bytes into one array. */
export async function toBytes(
  stream: ReadableStream<Uint8Array>,
): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await arrayBuffer(stream));
}

/** Reads a stream of bytes into one buffer. */
export function toArrayBuffer(
  stream: ReadableStream<Uint8Array>,
): Promise<ArrayBuffer> {
  return arrayBuffer(stream);
}

/** Reads a stream of bytes or strings as JSON. */
export function toJson(stream: ReadableStream): Promise<unknown> {
  return json(stream);
}

/** Cuts text into lines, at `\n` or `\r\n`; the last needs neither. */
export class TextLineStream extends TransformStream<string, string> {
  /** Makes the stream. */
  constructor() {
    let rest = "";
    super({
      transform(chunk, controller) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop()!;
        for (const line of lines) {
          controller.enqueue(line.endsWith("\r") ? line.slice(0, -1) : line);
        }
      },
      flush(controller) {
        if (rest !== "") controller.enqueue(rest);
      },
    });
  }
}
