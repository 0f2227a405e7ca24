import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { test } from "../support/harness.ts";
import { within } from "../support/within.ts";
import { download } from "./download.ts";

const MIB = 1024 * 1024;

test("resume: a download of 32 MiB through 10 cuts has the hash of what was sent, in bounded memory", async () => {
  const it = await within(
    download({ size: 32 * MIB, cuts: 10, seed: 1 }),
    "the download",
    60_000,
  );
  assertEquals(it.received, 32 * MIB);
  assertEquals(it.receivedHash, it.sentHash);
  assertGreater(it.connections, 10);
  // The bound of a session is 32 MiB.
  assertLess(it.held, 32 * MIB);
});
