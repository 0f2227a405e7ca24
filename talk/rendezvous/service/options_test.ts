import { rendezvousService } from "@qtalk/qtalk/rendezvous";
import { assert } from "@std/assert";
import { test } from "../../../tests/support/harness.ts";

test("rendezvousService: a limit out of range is an error", () => {
  for (const name of ["maxNames", "maxMeetings", "maxRelays"] as const) {
    let error: unknown;
    try {
      rendezvousService({ [name]: -1 });
    } catch (thrown) {
      error = thrown;
    }
    assert(error instanceof RangeError, name);
  }
});
