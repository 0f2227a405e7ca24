import { assertEquals, assertStrictEquals } from "@std/assert";
import { certificateFiles } from "../../../../tests/support/certificate_files.ts";
import { makeAuthority } from "../../../../tests/support/certificates.ts";
import type { TlsListenOptions } from "../../types.ts";
import { RenewedTerms } from "./renewed_terms.ts";

const ca = await makeAuthority("authority");

/** Terms that the test renews, at times of its own. */
function makeTerms(first: TlsListenOptions) {
  const state = {
    /** What the function of the program does. */
    provide: (): TlsListenOptions => first,
    asked: 0,
    now: 0,
    renewed: 0,
    failures: [] as string[],
  };
  const terms = new RenewedTerms(
    "qtalk",
    first,
    {
      current() {
        state.asked++;
        return state.provide();
      },
      onRenewed: () => void state.renewed++,
      onFailure: (error) => void state.failures.push((error as Error).message),
    },
    () => state.now,
  );
  return { terms, state };
}

Deno.test("RenewedTerms: while options fail, they are tried once a second, and reported once", async () => {
  const [first, second] = await Promise.all([
    ca.issue("CN=1"),
    ca.issue("CN=2"),
  ]);
  const { terms, state } = makeTerms(first);
  const old = terms.current();
  assertEquals([state.asked, old.options], [1, first]);
  state.provide = () => ({ cert: second.cert, key: first.key });
  for (state.now = 0; state.now < 3_000; state.now += 10) {
    assertStrictEquals(terms.current(), old);
  }
  assertEquals(state.asked, 1 + 3);
  // Another failure is one more in the same row.
  state.provide = () => {
    throw new Error("none today");
  };
  assertStrictEquals(terms.current(), old);
  assertEquals(state.asked, 1 + 4);
  assertEquals(state.failures, [
    'option "tls.key" does not belong to "tls.cert"',
  ]);
  state.provide = () => second;
  assertStrictEquals(terms.current(), old);
  state.now += 1_000;
  const renewed = terms.current();
  assertStrictEquals(renewed.options, second);
  assertStrictEquals(terms.current(), renewed);
  assertEquals([state.asked, state.renewed], [1 + 6, 1]);
  // That row is over.
  state.provide = () => {
    throw new Error("none today");
  };
  assertStrictEquals(terms.current(), renewed);
  assertEquals(state.failures.length, 2);
});

Deno.test("RenewedTerms: files that cannot be read are read again once a second", async () => {
  await using made = await certificateFiles(await ca.issue("CN=1"));
  const { terms, state } = makeTerms(made.files);
  await Deno.writeTextFile(made.files.cert, "half a certificate");
  const changed = { ...made.files };
  state.provide = () => changed;
  const old = terms.current();
  assertEquals(state.failures, ['option "tls.cert" has no certificate in PEM']);
  await made.write(await ca.issue("CN=2"));
  state.now = 999;
  assertStrictEquals(terms.current(), old);
  state.now = 1_000;
  assertStrictEquals(terms.current().options, changed);
});
