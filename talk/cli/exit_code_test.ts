import {
  CodecError,
  MuxError,
  RemoteError,
  RpcError,
  TalkError,
} from "@qtalk/qtalk";
import { assertEquals } from "@std/assert";
import { exitCodeOf, OutputClosed, UsageError } from "./exit_code.ts";

Deno.test("exitCodeOf: each kind of error has its exit code", () => {
  const codes: [Error, number][] = [
    [new OutputClosed(), 0],
    [new RemoteError("x"), 1],
    [new UsageError(), 2],
    [new TalkError("bad-address", ""), 2],
    [new TalkError("unknown-scheme", ""), 2],
    [new TalkError("dial-failed", ""), 3],
    [new TalkError("timeout", ""), 3],
    [new MuxError("connection-lost", ""), 3],
    [new RpcError("timeout", ""), 3],
    [new RpcError("no-response", ""), 3],
    [new RpcError("malformed-header", ""), 4],
    [new CodecError("malformed", ""), 4],
    [new Error(), 4],
  ];
  for (const [error, code] of codes) {
    assertEquals(exitCodeOf(error), code, `${error.name} ${error.message}`);
  }
});
