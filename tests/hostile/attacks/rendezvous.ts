/**
 * A rendezvous: registrations, meetings and relays.
 *
 * @module
 */
import { SELECTORS } from "../../../talk/rendezvous/wire.ts";
import { Random } from "../../support/random.ts";
import type { Attack } from "../attack.ts";
import { SESSION_BUDGET, SMALL } from "../bounds.ts";
import { often } from "../honest_client.ts";
import { aborted } from "../line.ts";
import {
  HonestPair,
  type Key,
  listening,
  makeKey,
  refusal,
  register,
  registration,
  to,
} from "../rendezvous_peer.ts";

const common = {
  setup: { service: "rendezvous" },
  memory: SMALL,
  outcome: "lives",
} as const;

/** The default limits of the service that the attacks aim at. */
const MAX_RELAYS = 256, RELAYS_PER_NAME = 32, NAMES_PER_SESSION = 4;
const MAX_MEETINGS = 1_024, MEETINGS_PER_NAME = 16, PER_SESSION = 8;

/** Sessions of hostile listening peers with four names each, and their names. */
async function names(
  it: Parameters<Attack["run"]>[0],
  count: number,
  key: Key,
  habits: Parameters<typeof listening>[1],
): Promise<string[]> {
  const all: string[] = [];
  while (all.length < count) {
    const peer = await listening(it, habits);
    for (let i = 0; i < NAMES_PER_SESSION && all.length < count; i++) {
      const name = `hostile-${all.length}`;
      await register(peer, key, name);
      all.push(name);
    }
  }
  return all;
}

/** Sessions for so many meetings or relays, of which each has a share. */
function sessions(it: Parameters<Attack["run"]>[0], count: number) {
  const length = Math.ceil(count / PER_SESSION);
  return Promise.all(Array.from({ length }, () => it.dial()));
}

/** One attack each. */
export const attacks: readonly Attack[] = [
  {
    ...common,
    name: "rendezvous-refused",
    about: "registrations of others' names, of too many, and without a proof",
    ms: 10_000,
    run: async (it) => {
      const honest = await HonestPair.meet(it);
      const key = await makeKey("hostile");
      const peer = await it.dial();
      const ask = (fields: Record<string, unknown>) =>
        refusal(peer.request(SELECTORS.register, [fields]));
      const fields = () => registration(peer, key, "hostile");
      const expect: [string, string, string][] = [
        [
          "the name of another",
          "name-taken",
          await ask(await registration(peer, key, honest.name)),
        ],
        [
          "a name of 64 KiB",
          "bad-arguments",
          await ask({ ...await fields(), name: "x".repeat(65_536) }),
        ],
        [
          "a name that is an object",
          "bad-arguments",
          await ask({ ...await fields(), name: { length: 3 } }),
        ],
        [
          "the certificate of another",
          "bad-proof",
          await ask({
            ...await fields(),
            certificate: (await registration(peer, honest.key, "x"))
              .certificate,
          }),
        ],
        [
          "a certificate of 16 KiB",
          "bad-arguments",
          await ask({ ...await fields(), certificate: "30".repeat(16_384) }),
        ],
        [
          "a certificate of garbage",
          "bad-proof",
          await ask({ ...await fields(), certificate: "30".repeat(8_000) }),
        ],
        ["no fields", "bad-arguments", await ask({})],
      ];
      const used = await fields();
      await peer.request(SELECTORS.register, [used]);
      expect.push(["a nonce that was used", "bad-proof", await ask(used)]);
      for (let i = 1; i < NAMES_PER_SESSION; i++) {
        await register(peer, key, `name-${i}`);
      }
      expect.push([
        "a fifth name",
        "limit-exceeded",
        await ask(await registration(peer, key, "fifth")),
      ]);
      for (const [what, code, saw] of expect) {
        it.check(`${what} is refused with ${code}`, saw === code, saw);
      }
      await honest.check("afterwards");
    },
  },
  {
    ...common,
    name: "rendezvous-registrations",
    about: "names registered and left, again and again, from four sessions",
    ms: 6_000,
    run: async (it) => {
      const honest = await HonestPair.meet(it);
      const key = await makeKey("hostile");
      const end = performance.now() + it.ms - 2_000;
      let count = 0;
      const work = async () => {
        while (performance.now() < end) {
          const peer = await it.dial();
          for (let i = 0; i < NAMES_PER_SESSION; i++) {
            await register(peer, key, `left-${count++}`);
          }
          await peer.close();
        }
      };
      await Promise.all([work(), work(), work(), work()]);
      await honest.check("afterwards");
      it.check("many names are registered", count > 100, count);
    },
  },
  {
    ...common,
    name: "rendezvous-proofs",
    about: "registrations with wrong proofs, from 64 sessions",
    ms: 6_000,
    run: async (it) => {
      const honest = await HonestPair.meet(it);
      const key = await makeKey("hostile");
      const end = performance.now() + it.ms - 2_000;
      // Its signature is for the nonce of another session, so it is verified.
      const wrong = await registration(await it.dial(), key, "hostile");
      const codes = new Set<string>();
      const work = async () => {
        const peer = await it.dial();
        while (performance.now() < end) {
          await peer.call(SELECTORS.challenge);
          codes.add(await refusal(peer.request(SELECTORS.register, [wrong])));
        }
      };
      await Promise.all(Array.from({ length: 64 }, work));
      await honest.check("afterwards");
      it.check(
        "each is refused with bad-proof",
        [...codes].join() === "bad-proof",
        [...codes],
      );
    },
  },
  {
    ...common,
    name: "rendezvous-places",
    about: "10,000 places that are public, multicast, loopback or no place",
    ms: 8_000,
    run: async (it) => {
      const punched = Promise.withResolvers<unknown>();
      const key = await makeKey("victim");
      const peer = await listening(it, { punch: punched.resolve });
      await register(peer, key, "victim");
      const lies = [
        "8.8.8.8",
        "224.0.0.1",
        "127.0.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "10.evil.example",
        "::1",
        "ff02::1",
        "2001:db8::1",
        "10.0.0.1",
      ];
      const local = Array.from({ length: 10_000 }, (_, i) => ({
        hostname: lies[i % lies.length],
        port: i % 3 === 0 ? -1 : 1_024 + i % 60_000,
      }));
      // What is private comes first once, since only the first few are looked at.
      const places = [{ hostname: "10.0.0.9", port: 9 }, ...local];
      await (await it.dial()).call(
        SELECTORS.meet,
        to("victim", key, places),
      );
      const got = await it.orTimeout(punched.promise) as {
        seen: unknown;
        local: unknown;
      };
      it.check(
        "only the private ones of the first eight are passed on",
        JSON.stringify(got?.local) ===
            JSON.stringify([{ hostname: "10.0.0.9", port: 9 }]) &&
          got.seen === null,
        JSON.stringify(got),
      );
    },
  },
  {
    ...common,
    name: "rendezvous-meetings",
    about: "meetings with one honest peer, 64 at a time",
    ms: 6_000,
    run: async (it) => {
      const honest = await HonestPair.meet(it);
      const peer = await it.dial();
      const end = performance.now() + it.ms - 2_000;
      const failures: string[] = [];
      let met = 0;
      const work = async () => {
        while (performance.now() < end) {
          const target = to(honest.name, honest.key);
          const code = await refusal(peer.call(SELECTORS.meet, target));
          // A session has a share of them.
          if (code === "nothing") met++;
          else if (code !== "limit-exceeded") failures.push(code);
        }
      };
      const flood = Promise.all(Array.from({ length: 64 }, work));
      await honest.check("meanwhile");
      await flood;
      it.check("they meet", met > 100 && failures.length === 0, failures[0]);
    },
  },
  {
    ...common,
    name: "rendezvous-unanswered",
    about: "as many meetings as may wait, with peers that never answer",
    ms: 10_000,
    run: async (it) => {
      const honest = await HonestPair.meet(it);
      const key = await makeKey("hostile");
      const all = await names(it, MAX_MEETINGS / MEETINGS_PER_NAME, key, {
        punch: () => new Promise(() => {}),
      });
      const peers = await sessions(it, MAX_MEETINGS);
      let next = 0;
      await often(2 * MAX_MEETINGS, 64, async () => {
        const peer = peers[next++ % peers.length]!;
        const name = all[Math.floor(Math.random() * all.length)]!;
        await refusal(peer.call(SELECTORS.meet, to(name, key)));
      });
      await honest.check("while they wait");
    },
  },
  {
    ...common,
    name: "rendezvous-unused-relays",
    about: "as many relays as there may be, opened and never used",
    // Longer than the 30 s after which a silent relay gives way.
    ms: 45_000,
    run: async (it) => {
      const honest = await HonestPair.meet(it);
      const key = await makeKey("hostile");
      const all = await names(it, MAX_RELAYS / RELAYS_PER_NAME, key, {
        stream: () => new Promise(() => {}),
      });
      const peers = await sessions(it, MAX_RELAYS + 1);
      let open = 0;
      for (const name of all) {
        for (let i = 0; i < RELAYS_PER_NAME; i++) {
          const peer = peers[Math.floor(open / PER_SESSION)]!;
          const code = await refusal(
            peer.request(SELECTORS.relay, to(name, key)),
          );
          if (code === "nothing") open++;
        }
      }
      it.check("all relays are open", open === MAX_RELAYS, open);
      const more = refusal(
        peers.at(-1)!.request(SELECTORS.relay, to(all[0]!, key)),
      );
      it.check("one more is refused", await more === "limit-exceeded");
      await new Promise((resolve) => setTimeout(resolve, 30_500));
      await honest.check("after 30 s");
    },
  },
  {
    ...common,
    name: "rendezvous-stalled-relays",
    about: "32 relays that are filled, and whose far ends read nothing",
    // The session of each end takes part of it.
    held: 2 * SESSION_BUDGET,
    memory: SMALL + SESSION_BUDGET,
    ms: 6_000,
    run: async (it) => {
      const honest = await HonestPair.meet(it);
      const key = await makeKey("hostile");
      const [name] = await names(it, 1, key, {
        stream: () => new Promise(() => {}),
      });
      const peers = await sessions(it, RELAYS_PER_NAME);
      const piece = new Uint8Array(256 * 1024);
      for (let i = 0; i < RELAYS_PER_NAME; i++) {
        const peer = peers[Math.floor(i / PER_SESSION)]!;
        const { channel } = await peer.request(
          SELECTORS.relay,
          to(name!, key),
        );
        const writer = channel!.writable.getWriter();
        const fill = async () => {
          while (!it.signal.aborted) await writer.write(piece);
        };
        fill().catch(() => {});
      }
      await new Promise((resolve) => setTimeout(resolve, it.ms - 3_000));
      await honest.check("meanwhile");
    },
  },
  {
    ...common,
    name: "rendezvous-garbage",
    about: "arguments of every wrong shape, and random bytes through a relay",
    ms: 10_000,
    run: async (it) => {
      const honest = await HonestPair.meet(it);
      const peer = await it.dial();
      const random = new Random(1);
      const wrong = [
        undefined,
        null,
        [],
        [null],
        [[]],
        "x".repeat(100_000),
        [{ name: honest.name, fingerprint: "sha256:00", local: "all" }],
        [{ name: honest.name, fingerprint: {}, local: { length: 1e9 } }],
        [{ __proto__: null, name: "__proto__", fingerprint: honest.key }],
        Array.from({ length: 10_000 }, () => ({ name: honest.name })),
      ];
      for (const selector of Object.values(SELECTORS)) {
        for (const args of wrong) {
          const code = await refusal(peer.request(selector, args));
          const isRefused = /^(?:bad-arguments|not-found)$/.test(code);
          it.check(
            `${selector} refuses what is no argument`,
            isRefused || selector === SELECTORS.challenge,
            code,
          );
        }
      }
      const target = to(honest.name, honest.key);
      for (let i = 0; i < 20; i++) {
        const dialing = await it.dial();
        const { channel } = await dialing.request(SELECTORS.relay, target);
        const writer = channel!.writable.getWriter();
        await writer.write(random.bytes(random.int(1, 10_000)));
        await (i % 2 === 0 ? channel!.close() : writer.abort());
      }
      await honest.check("afterwards");
    },
  },
  {
    ...common,
    name: "rendezvous-half-answers",
    about: "peers that answer a relay with an error, a value, or nothing",
    ms: 12_000,
    run: async (it) => {
      const honest = await HonestPair.meet(it);
      const key = await makeKey("hostile");
      const answers = ["an error", "a value", "nothing"] as const;
      const codes: string[] = [];
      for (const [i, answer] of answers.entries()) {
        const peer = await it.dial({
          handler: async (call, respond) => {
            await call.receive();
            if (answer === "nothing") return aborted(it.signal);
            await respond.return(
              answer === "a value" ? "what?" : new Error("no"),
            );
          },
        });
        await register(peer, key, `half-${i}`);
        const dialing = await it.dial();
        codes.push(
          await refusal(
            dialing.request(SELECTORS.relay, to(`half-${i}`, key)),
          ),
        );
      }
      it.check(
        "each is refused",
        codes.every((code) => code === "not-reached"),
        codes,
      );
      await honest.check("afterwards");
    },
  },
];
