// A server is killed under its clients, again and again.

import { dial, MuxError, type ReconnectingPeer } from "@qtalk/qtalk";
import { assert, assertEquals } from "@std/assert";
import { Front } from "../support/front.ts";
import { within } from "../support/within.ts";

const CLIENTS = 50;
const KILLS = 10;
const SCRIPT = new URL("../support/mortal_server.ts", import.meta.url).href;

/** A server in a process of its own, to which the front leads. */
async function start(
  front: Front,
  scheme: string,
  log: string,
): Promise<Deno.ChildProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", SCRIPT, `${scheme}://127.0.0.1:0`, log],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await within(reader.read(), "the server to start");
  const address = new TextDecoder().decode(value).trim();
  front.target = Number(new URL(address.replace(scheme, "http")).port);
  reader.releaseLock();
  return child;
}

async function kill(front: Front, child: Deno.ChildProcess): Promise<void> {
  front.target = undefined;
  child.kill("SIGKILL");
  await child.stdout.cancel();
  await child.status;
}

/** A client that works all the time. */
class Worker {
  readonly answered: string[] = [];
  readonly lost: string[] = [];
  connections = 0;
  /** Told at the next answer. */
  #onAnswer: (() => void) | undefined;
  #stopped = false;
  readonly done: Promise<void>;
  peer: ReconnectingPeer | undefined;

  constructor(readonly name: string, address: string) {
    this.done = this.#run(address);
  }

  async #run(address: string): Promise<void> {
    await using peer = this.peer = await dial(address, {
      reconnect: {
        minDelay: 10,
        maxDelay: 100,
        onConnect: async (peer) => {
          await peer.call("join", this.name);
          this.connections++;
        },
      },
    });
    for (let n = 0; !this.#stopped; n++) {
      const id = `${this.name}-${n}`;
      try {
        assertEquals(await peer.call("work", id), id);
        this.answered.push(id);
        this.#onAnswer?.();
      } catch (error) {
        if (!(error instanceof MuxError)) throw error;
        assertEquals(error.code, "connection-lost");
        this.lost.push(id);
      }
    }
  }

  /** Resolves at the next answer. */
  next(): Promise<void> {
    const answer = new Promise<void>((resolve) => this.#onAnswer = resolve);
    return Promise.race([answer, this.done]);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.done;
  }
}

for (const scheme of ["tcp", "ws"]) {
  Deno.test(`reconnect: ${CLIENTS} clients over ${scheme} come back after each of ${KILLS} kills, and no call runs twice`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "qtalk_reconnect_" });
    const log = `${directory}/log`;
    await using front = new Front();
    const address = `${scheme}://127.0.0.1:${front.port}`;
    let server = await start(front, scheme, log);
    const workers = Array.from(
      { length: CLIENTS },
      (_, i) => new Worker(`client${i}`, address),
    );
    for (let i = 0; i < KILLS; i++) {
      await within(
        Promise.all(workers.map((worker) => worker.next())),
        `all clients to be answered after ${i} kills`,
      );
      await kill(front, server);
      server = await start(front, scheme, log);
    }
    await within(
      Promise.all(workers.map((worker) => worker.next())),
      "all clients to be answered at the end",
    );
    await within(
      Promise.all(workers.map((worker) => worker.stop())),
      "all calls to be settled",
    );
    await kill(front, server);

    const carriedOut = (await Deno.readTextFile(log)).trimEnd().split("\n");
    const distinct = new Set(carriedOut);
    assertEquals(carriedOut.length, distinct.size, "no call came twice");
    for (const { answered, lost, connections, peer } of workers) {
      assert(answered.every((id) => distinct.has(id)), "all answers were work");
      assert(connections > KILLS, `${connections} connections`);
      assert(lost.length <= KILLS, `${lost.length} calls were lost`);
      assertEquals(peer?.state, { name: "closed" });
    }
    await Deno.remove(directory, { recursive: true });
  });
}
