/**
 * Peers of a rendezvous, whose every call an attack chooses.
 *
 * @module
 */
import { toHex } from "../../hex.ts";
import type { Handler, Peer } from "../../mod.ts";
import { loadIdentity } from "../../talk/rendezvous/identity.ts";
import { SELECTORS } from "../../talk/rendezvous/wire.ts";
import { makeIdentity } from "../support/identities.ts";
import type { Attacker } from "./attacker_side.ts";

/** A key with its certificate. */
export type Key = ReturnType<typeof loadIdentity>;

/** Makes a key. */
export async function makeKey(name: string): Promise<Key> {
  return loadIdentity(await makeIdentity(name));
}

/** What a registration says; a test of what is refused changes it. */
export async function registration(
  peer: Peer,
  key: Key,
  name: string,
): Promise<Record<string, unknown>> {
  const nonce = String(await peer.call(SELECTORS.challenge));
  const signature = key.prove({
    purpose: "register",
    subject: `${name}@127.0.0.1`,
    nonce,
  });
  return {
    name,
    rendezvous: "127.0.0.1",
    certificate: toHex(key.certificate),
    signature: toHex(signature),
    local: [],
  };
}

/** Registers a name, for as long as the session goes on. */
export async function register(
  peer: Peer,
  key: Key,
  name: string,
): Promise<void> {
  await peer.request(SELECTORS.register, [
    await registration(peer, key, name),
  ]);
}

/** What `meet` and `relay` take. */
export function to(name: string, key: Key, local: unknown = []) {
  return [{ name, fingerprint: key.fingerprint, local }];
}

/** What a listening peer does when it is asked for a stream, and to open a way. */
export interface Habits {
  stream?: (channel: {
    readable: ReadableStream<Uint8Array>;
    writable: WritableStream<Uint8Array>;
  }) => unknown;
  /** Called with the argument; the answer waits for what it returns. */
  punch?: (places: unknown) => unknown;
}

/** A listening peer: its calls are answered as it says. By default, it echoes. */
export async function listening(
  it: Attacker,
  { stream = echo, punch = () => {} }: Habits = {},
): Promise<Peer> {
  const router = new it.library.Router();
  router.handle(SELECTORS.punch, async (call, respond) => {
    const [places] = await call.receive() as unknown[];
    await punch(places);
    await respond.return();
  });
  router.handle(SELECTORS.stream, async (call, respond) => {
    await call.receive();
    await stream(await respond.continue());
  });
  return await it.dial({ handler: router as Handler });
}

function echo(
  { readable, writable }: Parameters<NonNullable<Habits["stream"]>>[0],
): Promise<void> {
  return readable.pipeTo(writable).catch(() => {});
}

/** Two honest peers that are there before the attack. */
export class HonestPair {
  readonly #it: Attacker;
  readonly key: Key;
  readonly name = "honest";
  /** How often the one that is registered was asked to open a way. */
  #punches = 0;

  private constructor(it: Attacker, key: Key) {
    this.#it = it;
    this.key = key;
  }

  /** Registers one of them. */
  static async meet(it: Attacker): Promise<HonestPair> {
    const pair = new HonestPair(it, await makeKey("honest"));
    const listener = await listening(it, { punch: () => pair.#punches++ });
    await register(listener, pair.key, pair.name);
    return pair;
  }

  /** Checks that the other one can meet and be relayed. */
  async check(when: string): Promise<void> {
    const it = this.#it;
    const peer = await it.dial();
    const target = to(this.name, this.key);
    const before = this.#punches;
    try {
      await peer.call(SELECTORS.meet, target);
      const { channel } = await peer.request(SELECTORS.relay, target);
      const writer = channel!.writable.getWriter();
      const reader = channel!.readable.getReader();
      await writer.write(Uint8Array.of(1, 2, 3));
      const { value } = await reader.read();
      it.check(
        `an honest peer is reached ${when}`,
        value?.join() === "1,2,3",
        value,
      );
      it.check(
        `an honest peer is asked to open a way ${when}`,
        this.#punches > before,
      );
    } catch (error) {
      it.check(`an honest peer is reached ${when}`, false, error);
    }
    await peer.close();
  }
}

/** The code with which a call is refused. */
export async function refusal(call: Promise<unknown>): Promise<string> {
  return await call.then(
    () => "nothing",
    (error) => String((error as { code?: unknown }).code),
  );
}
