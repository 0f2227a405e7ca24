// The attacker, in a process of its own.
//
//   deno run -A tests/hostile/attacker.ts
//
// Answers `attack`, which runs an attack, and `leave`, which closes its
// connections. The server can be examined between the two.

import { settlesWithin } from "../../time_limit.ts";
import { answerAll } from "./answering.ts";
import { Attacker, type Target } from "./attacker_side.ts";
import { attackNamed } from "./attacks.ts";

/** Milliseconds that an attack has for its checks when its time is over. */
const CHECKING = 500;

let attacker: Attacker | undefined;

await answerAll({
  async attack({ name, target }) {
    const attack = attackNamed(name as string);
    attacker = await Attacker.prepare(target as Target, attack);
    let done = false;
    const running = attack.run(attacker).then(() => {
      done = true;
    }, (error) => {
      done = true;
      attacker!.check("it runs without an error", false, error);
    });
    await attacker.orTimeout(running);
    // An attack may be held up until its time is over; an honest client may not.
    if (!done && attack.outcome === "lives") {
      attacker.check("it is done in time", false, `${attacker.ms} ms`);
    }
    // It still has to check what it has done.
    await settlesWithin(CHECKING, running);
    return { findings: attacker.findings() };
  },
  async leave() {
    await attacker?.leave();
    return {};
  },
});
Deno.exit(0);
