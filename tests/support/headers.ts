import { assertEquals, assertThrows } from "@std/assert";
import { json } from "../../codec/json.ts";
import { RpcError } from "../../rpc/errors.ts";
import {
  decodeResponseHeader,
  type ResponseHeader,
} from "../../rpc/wire/headers/response_header.ts";

const codec = json();

/** What a response header in JSON says about an error, and whether it is continued. */
export function responseOf(header: unknown): ResponseHeader {
  const bytes = codec.encode(header);
  const { error, continued } = decodeResponseHeader(codec, bytes);
  return { error, continued };
}

/** Asserts that reading a header fails with `malformed-header` and a text. */
export function assertMalformed(read: () => unknown, text: string): void {
  const error = assertThrows(read, RpcError, text);
  assertEquals(error.code, "malformed-header");
}
