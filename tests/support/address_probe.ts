/**
 * A program that dials one address and listens on another, and prints for both
 * `ok` or the names of the error and its causes. Started by
 * tests/permissions_test.ts with the permissions under test.
 *
 * @module
 */
import { dial, listen } from "@qtalk/qtalk";

const [dialed, listened] = Deno.args;
/** Milliseconds until nothing is there that answers over UDP. */
const TIMEOUT = 3_000;
const outcomes = [
  await outcomeOf(dialed, (address) => dial(address, { timeout: TIMEOUT })),
  await outcomeOf(listened, listen),
];
// Standard output may be the transport.
console.error(JSON.stringify(outcomes));

async function outcomeOf(
  address: string | undefined,
  use: (address: string) => Promise<{ close(): Promise<void> }>,
): Promise<string | undefined> {
  if (!address) return undefined;
  try {
    await (await use(address)).close();
    return "ok";
  } catch (error) {
    const names: string[] = [];
    for (let e = error; e instanceof Error; e = e.cause) names.push(e.name);
    return names.join(" ");
  }
}
