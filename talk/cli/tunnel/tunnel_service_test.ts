import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { type Harness, test } from "../../../tests/support/harness.ts";
import { turn } from "../../../tests/support/turn.ts";
import { until, within } from "../../../tests/support/within.ts";
import { memoryTransports, type Transport } from "../../../mux/mod.ts";
import { RemoteError, type RpcResponse } from "../../../rpc/mod.ts";
import type { Peer } from "../../../talk/mod.ts";
import { isProof, nonce, prove } from "./proof.ts";
import type { PublicPort } from "./public_port.ts";
import { TunnelService, type TunnelServiceOptions } from "./tunnel_service.ts";
import {
  answerContentOf,
  type ChallengeAnswer,
  contentOf,
  type PublishAnswer,
  type PublishRequest,
  SELECTORS,
} from "./tunnel_wire.ts";

/** Ports in memory, and what is printed. */
class World {
  readonly service: TunnelService;
  readonly notes: string[] = [];
  /** The ports that are open, with what connects to them. */
  readonly open = new Map<number, (transport: Transport | Error) => void>();

  constructor(options: Partial<TunnelServiceOptions> = {}) {
    this.service = new TunnelService({
      place: { hostname: "127.0.0.1", port: 0 },
      tokens: [],
      leaseTime: 60_000,
      waitTime: 30_000,
      maxWaiting: 2,
      maxPorts: 10,
      maxPortsPerToken: 10,
      maxPortsPerClient: 10,
      terminal: { note: (line) => void this.notes.push(line) },
      openPort: (port) => this.#openPort(port),
      ...options,
    });
  }

  #openPort(port: number): PublicPort {
    if (this.open.has(port)) {
      throw new Deno.errors.AddrInUse("Address already in use");
    }
    const { readable, writable } = new TransformStream<Transport | Error>(
      undefined,
      { highWaterMark: Infinity },
    );
    const reader = readable.getReader();
    const writer = writable.getWriter();
    this.open.set(port, (transport) => void writer.write(transport));
    return {
      addr: `tcp://127.0.0.1:${port}`,
      port,
      async accept() {
        const { done, value } = await reader.read();
        if (done) return null;
        if (value instanceof Error) throw value;
        return { transport: value, remoteAddr: "tcp://192.0.2.1:1" };
      },
      close: () => {
        this.open.delete(port);
        void writer.close();
      },
    };
  }

  /** Connects to a port. */
  connect(port: number): Transport {
    const [near, far] = memoryTransports();
    this.open.get(port)!(far);
    return near;
  }

  /** A publisher that is connected to the server. */
  publisher(t: Harness, token?: string): Publisher {
    return new Publisher(t, this, token);
  }

  note(pattern: RegExp): boolean {
    return this.notes.some((note) => pattern.test(note));
  }
}

/** A publisher whose target echoes, or does what the test wants. */
class Publisher {
  readonly peer: Peer;
  readonly server: Peer;
  readonly #token: string | undefined;
  /** Connections that came. */
  connections = 0;
  /** What it does about one. */
  answer: "echo" | "refuse" | "never" = "echo";
  alive = true;
  /** How often it was asked whether it is alive. */
  asked = 0;

  constructor(t: Harness, world: World, token?: string) {
    this.#token = token;
    [this.peer, this.server] = t.pair({}, { handler: world.service.router });
    this.peer.handle(SELECTORS.alive, () => {
      this.asked++;
      return this.alive ? undefined : new Promise(() => {});
    });
    this.peer.handle(SELECTORS.connect, async (call, respond) => {
      this.connections++;
      await call.receive();
      if (this.answer === "refuse") {
        return await respond.return(new Error("the target is down"));
      }
      if (this.answer === "never") return await new Promise(() => {});
      const channel = await respond.continue();
      await channel.readable.pipeTo(channel.writable);
      await channel.close();
    });
  }

  async request(
    change: Partial<PublishRequest> = {},
  ): Promise<{ request: PublishRequest; nonces: Nonces }> {
    const publisherNonce = nonce();
    const { nonce: serverNonce } = await this.peer.call(
      SELECTORS.challenge,
      [{ nonce: publisherNonce }],
    ) as ChallengeAnswer;
    const nonces = { publisherNonce, serverNonce };
    const request: PublishRequest = {
      name: "web",
      process: PROCESS,
      port: 0,
      exact: false,
      health: { ok: true, reason: "" },
      ...change,
    };
    if (this.#token === undefined) return { request, nonces };
    const content = contentOf(request);
    const by = "publisher";
    const proof = await prove(this.#token, { by, ...nonces, content });
    return { request: { ...request, proof }, nonces };
  }

  async publish(change: Partial<PublishRequest> = {}): Promise<Published> {
    const { request, nonces } = await this.request(change);
    const response = await this.peer.request(SELECTORS.publish, [request]);
    const answer = response.value as PublishAnswer;
    return {
      response,
      answer,
      request,
      nonces,
      port: Number(answer.address.split(":").at(-1)),
    };
  }
}

interface Nonces {
  publisherNonce: string;
  serverNonce: string;
}

interface Published {
  response: RpcResponse;
  answer: PublishAnswer;
  request: PublishRequest;
  nonces: Nonces;
  port: number;
}

const PROCESS = "a".repeat(64);
const OTHER_PROCESS = "b".repeat(64);
const HELLO = new TextEncoder().encode("hello");

/** Sends something through the tunnel, and reads it back. */
async function echo(transport: Transport): Promise<string> {
  await transport.write(HELLO);
  await transport.closeWrite();
  return await readAll(transport);
}

async function readAll(transport: Transport): Promise<string> {
  let text = "";
  for (;;) {
    const bytes = await within(transport.read(), "bytes or their end");
    if (bytes === null) return text;
    text += new TextDecoder().decode(bytes);
  }
}

test("TunnelService: a connection that comes while the publisher is away waits for it", async (t) => {
  const world = new World();
  const first = world.publisher(t);
  const { port } = await first.publish();
  assertEquals(await echo(world.connect(port)), "hello");
  await first.peer.close();
  await until(() => world.note(/^lost: /), "lost");
  const waiting = world.connect(port);
  const read = echo(waiting);
  const second = world.publisher(t);
  assertEquals((await second.publish()).port, port);
  assertEquals(await read, "hello");
  assertEquals(second.connections, 1);
  assert(world.note(/^published again: .*\(web\): by .*, after \d/));
  world.service.close();
});

test("TunnelService: a connection that its publisher did not answer goes to the next one", async (t) => {
  const world = new World();
  const first = world.publisher(t);
  first.answer = "never";
  const { port } = await first.publish();
  const read = echo(world.connect(port));
  await until(() => first.connections === 1, "the call");
  await first.peer.close();
  const second = world.publisher(t);
  await second.publish();
  assertEquals(await read, "hello");
  world.service.close();
});

test("TunnelService: more connections than maxWaiting are refused, and that is said once", async (t) => {
  const world = new World();
  const first = world.publisher(t);
  const { port } = await first.publish();
  await first.peer.close();
  await until(() => world.note(/^lost: /), "lost");
  const waiting = [world.connect(port), world.connect(port)];
  await turn();
  for (let i = 0; i < 3; i++) {
    assertEquals(await readAll(world.connect(port)), "");
  }
  const said = world.notes.filter((note) => /2 connections wait/.test(note));
  assertEquals(said.length, 1);
  world.service.close();
  for (const one of waiting) assertEquals(await readAll(one), "");
});

test("TunnelService: a connection waits no longer than waitTime, and a port is kept no longer than leaseTime", async (t) => {
  const time = t.time();
  const world = new World({ waitTime: 1_000, leaseTime: 5_000 });
  const first = world.publisher(t);
  const { port } = await first.publish();
  await first.peer.close();
  await until(() => world.note(/^lost: /), "lost");
  const waiting = world.connect(port);
  await turn();
  time.tick(1_000);
  assertEquals(await readAll(waiting), "");
  assert(world.note(/no publisher within 1 s/), world.notes.join("\n"));
  time.tick(3_999);
  await turn();
  assert(world.open.has(port));
  time.tick(1);
  assert(!world.open.has(port));
  await until(() => world.note(/^closed: .* did not come back$/), "said");
});

test("TunnelService: a publisher that is released closes its port at once", async (t) => {
  const world = new World();
  const publisher = world.publisher(t);
  const { port, response } = await publisher.publish();
  await publisher.peer.call(SELECTORS.release);
  assert(!world.open.has(port));
  assertEquals(await response.receive(), undefined);
  await response.close();
  await until(() => world.note(/^closed: /), "closed");
});

test("TunnelService: a publisher that connects again replaces its own session at once", async (t) => {
  const world = new World();
  const before = world.publisher(t);
  before.alive = false;
  before.answer = "never";
  const { port } = await before.publish();
  const again = world.publisher(t);
  assertEquals((await again.publish()).port, port);
  await within(before.peer.closed, "the end of its earlier session");
  assertEquals(await echo(world.connect(port)), "hello");
  assert(world.note(/^replaced: /));
  world.service.close();
});

test("TunnelService: another process replaces a publisher that does not answer, and no other", async (t) => {
  const world = new World();
  const before = world.publisher(t);
  const { port } = await before.publish();
  const other = world.publisher(t);
  const error = await assertRejects(
    () => other.publish({ process: OTHER_PROCESS }),
    RemoteError,
    'the name "web" is in use',
  );
  assertEquals(error.code, "name-in-use");
  assertEquals(await echo(world.connect(port)), "hello");

  before.alive = false;
  before.asked = 0;
  const time = t.time();
  const published = other.publish({ process: OTHER_PROCESS });
  await until(() => before.asked > 0, "the question");
  time.tick(1_000);
  assertEquals((await published).port, port);
  await within(before.peer.closed, "the end of the dead one");
  world.service.close();
});

test("TunnelService: both halves prove that they know the token", async (t) => {
  const world = new World({ tokens: ["other", "token"] });
  const publisher = world.publisher(t, "token");
  const { answer, request, nonces } = await publisher.publish();
  const content = answerContentOf(request, answer);
  assert(
    await isProof(answer.proof, "token", { by: "server", ...nonces, content }),
  );
  world.service.close();
});

test("TunnelService: what was recorded on the wire is refused", async (t) => {
  const world = new World({ tokens: ["token"] });
  const publisher = world.publisher(t, "token");
  const { request } = await publisher.publish();
  await publisher.peer.call(SELECTORS.release);
  const thief = world.publisher(t);
  // Without a challenge, and with one of its own.
  for (let i = 0; i < 2; i++) {
    const error = await assertRejects(
      () => thief.peer.request(SELECTORS.publish, [request]),
      RemoteError,
    );
    assertEquals(error.code, "unauthorized");
    await thief.peer.call(SELECTORS.challenge, [{ nonce: nonce() }]);
  }
  assertEquals(world.open.size, 0);
});

test("TunnelService: a proof is good for one request, and for what it says", async (t) => {
  const world = new World({ tokens: ["token"] });
  const publisher = world.publisher(t, "token");
  const changed = await publisher.request();
  for (
    const request of [
      { ...changed.request, name: "other" },
      changed.request,
    ]
  ) {
    const error = await assertRejects(
      () => publisher.peer.request(SELECTORS.publish, [request]),
      RemoteError,
    );
    assertEquals(error.code, "unauthorized");
  }
  for (const token of [undefined, "wrong"]) {
    const other = world.publisher(t, token);
    const error = await assertRejects(() => other.publish(), RemoteError);
    assertEquals(error.code, "unauthorized");
  }
  assertEquals(world.open.size, 0);
  assertEquals(world.notes.length, 4, "each refusal is printed");
});

test("TunnelService: a name of one token is not that of another", async (t) => {
  const world = new World({ tokens: ["one", "two"] });
  const one = await world.publisher(t, "one").publish();
  const two = await world.publisher(t, "two").publish();
  assert(one.port !== two.port);
  world.service.close();
});

test("TunnelService: ports are limited in all, by token and by client", async (t) => {
  for (
    const [option, flag, others] of [
      ["maxPorts", "max-ports", "two"],
      ["maxPortsPerToken", "max-ports-per-token", "one"],
      ["maxPortsPerClient", "max-ports-per-client", "two"],
    ] as const
  ) {
    const world = new World({ tokens: ["one", "two"], [option]: 2 });
    await world.publisher(t, "one").publish({ name: "a" });
    await world.publisher(t, others).publish({ name: "b" });
    const error = await assertRejects(
      () => world.publisher(t, "one").publish({ name: "c" }),
      RemoteError,
      `as many ports open as its --${flag} allows: 2`,
    );
    assertEquals(error.code, "limit-exceeded");
    // A name that is known needs no other port.
    await world.publisher(t, "one").publish({ name: "a" });
    world.service.close();
    assertEquals(world.open.size, 0);
  }
});

test("TunnelService: the port that is asked for, the same for the same name, another one if it is taken", async (t) => {
  const world = new World();
  const asked = await world.publisher(t).publish({ name: "a", port: 5_000 });
  assertEquals(asked.port, 5_000);
  const other = await world.publisher(t).publish({ name: "b", port: 5_000 });
  assert(other.port >= 20_000 && other.port < 30_000);
  const error = await assertRejects(
    () => world.publisher(t).publish({ name: "c", port: 5_000, exact: true }),
    RemoteError,
    "port 5000 is in use",
  );
  assertEquals(error.code, "port-not-open");
  world.service.close();
  // A server that has forgotten everything.
  const next = new World();
  const again = await next.publisher(t).publish({ name: "b" });
  assertEquals(again.port, other.port);
  next.service.close();
});

test("TunnelService: requests that are malformed are refused", async (t) => {
  const world = new World();
  const { peer } = world.publisher(t);
  const good = { name: "a", process: PROCESS, port: 0 };
  for (
    const request of [
      undefined,
      null,
      5,
      {},
      { ...good, name: "" },
      { ...good, name: "x".repeat(65) },
      { ...good, name: "a\u001b[2J" },
      { ...good, process: "x" },
      { ...good, port: 80 },
      { ...good, port: "8080" },
      { ...good, port: 65_536 },
      { ...good, proof: 5 },
    ]
  ) {
    const error = await assertRejects(
      () => peer.request(SELECTORS.publish, [request]),
      RemoteError,
    );
    assertEquals(error.code, "bad-arguments", JSON.stringify(request));
  }
  for (const challenge of [undefined, {}, { nonce: 5 }, { nonce: "x" }]) {
    await assertRejects(
      () => peer.call(SELECTORS.challenge, [challenge]),
      RemoteError,
      "the nonce is malformed",
    );
  }
  const published = await world.publisher(t).publish();
  assertEquals(published.response.continued, true);
  world.service.close();
});

test("TunnelService: while the target is down, connections are refused and the publisher is not asked", async (t) => {
  const world = new World();
  const publisher = world.publisher(t);
  const health = (ok: boolean, reason = "") =>
    publisher.peer.call(SELECTORS.health, [{ ok, reason }]);
  const { port } = await publisher.publish({
    health: { ok: false, reason: "Connection refused\u0007" },
  });
  await until(() => world.note(/^target is down/), "told");
  assertMatch(world.notes[1]!, /\(web\): Connection refused\\u0007$/);
  assertEquals(await readAll(world.connect(port)), "");
  await health(true);
  assertEquals(await echo(world.connect(port)), "hello");
  await health(false, "no");
  assertEquals(await readAll(world.connect(port)), "");
  assertEquals(publisher.connections, 1);
  assertEquals(
    world.notes.map((note) => /^[\w ]+/.exec(note)![0]),
    ["published", "target is down", "target is up", "target is down"],
  );
  world.service.close();
});

test("TunnelService: a connection that the target refuses is closed, and that is printed", async (t) => {
  const world = new World();
  const publisher = world.publisher(t);
  publisher.answer = "refuse";
  const { port } = await publisher.publish();
  assertEquals(await readAll(world.connect(port)), "");
  await until(
    () => world.note(/^error: remote: the target is down/),
    "printed",
  );
  world.service.close();
});

test("TunnelService: a port goes on when accepting has failed for a while", async (t) => {
  const world = new World();
  const publisher = world.publisher(t);
  const { port } = await publisher.publish();
  const fail = world.open.get(port)!;
  const time = t.time();
  for (let i = 0; i < 5; i++) fail(new Error("Too many open files"));
  let text = "";
  void echo(world.connect(port)).then((read) => text = read);
  await until(() => {
    time.tick(200);
    return text !== "";
  }, "the connection was passed on");
  assertEquals(text, "hello");
  const said = world.notes.filter((note) => /Too many open files/.test(note));
  assertEquals(said.length, 1);
  world.service.close();
});
