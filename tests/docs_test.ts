// What the documentation claims and a program can check: its links, and the
// tables that are compared with the code.

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type Codec,
  CodecError,
  DEFAULT_MAX_DEPTH,
  DEFAULT_MAX_ITEMS,
  json,
} from "@qtalk/qtalk/codec";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import {
  DEFAULT_KEEP_ALIVE_OPTIONS,
  DEFAULT_MEMORY_POOL_OPTIONS,
  DEFAULT_RESUME_OPTIONS,
  DEFAULT_SESSION_OPTIONS,
  memoryPool,
  memoryTransports,
  messagePortTransport,
  qmux,
  type SessionOptions,
} from "@qtalk/qtalk/mux";
import {
  DEFAULT_RATE_LIMIT_OPTIONS,
  DEFAULT_RETRY_OPTIONS,
  rateLimit,
  retry,
} from "@qtalk/qtalk/middleware";
import { DEFAULT_FAN_OUT_OPTIONS, fanOut } from "@qtalk/qtalk/fan-out";
import {
  DEFAULT_BALANCE_OPTIONS,
  DEFAULT_POOL_OPTIONS,
  dialPool,
  workerPool,
} from "@qtalk/qtalk/pool";
import {
  DEFAULT_REFLECTION_OPTIONS,
  withReflection,
} from "@qtalk/qtalk/reflection";
import { DEFAULT_MAX_FORWARDED_CALLS, forward } from "@qtalk/qtalk/rpc";
import {
  DEFAULT_CONNECT_TIMEOUT,
  DEFAULT_PEER_LIMITS,
  DEFAULT_RECONNECT_OPTIONS,
  dial,
  listen,
  memoryPair,
  TalkError,
} from "@qtalk/qtalk/talk";
import {
  closeOnSignals,
  DEFAULT_SIGNAL_DRAIN_TIMEOUT,
} from "@qtalk/qtalk/signals";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import config from "../deno.json" with { type: "json" };
import type { Command } from "../talk/cli/command.ts";
import { EXIT } from "../talk/cli/exit_code.ts";
import { exportedInterfaces } from "./support/api_docs.ts";
import {
  DEFAULT_DIRECT_TIMEOUT,
  DEFAULT_RENDEZVOUS_OPTIONS,
  rendezvousService,
} from "@qtalk/qtalk/rendezvous";
import {
  anchors,
  code,
  files,
  links,
  projectFile,
  quantity,
  read,
  section,
  table,
} from "./support/docs.ts";

const LAYERS = ["codec", "mux", "rpc", "talk"];
const MARKDOWN = [...files()].filter((path) => path.endsWith(".md"));
const LIMITS = "docs/limits-and-security.md";

function exists(url: URL): boolean {
  try {
    Deno.statSync(url);
    return true;
  } catch {
    return false;
  }
}

for (const path of MARKDOWN) {
  Deno.test(`docs: every link of ${path} to this project leads somewhere`, () => {
    for (const link of links(read(path))) {
      if (/^\w+:/.test(link)) continue;
      const url = new URL(link, projectFile(path));
      const anchor = decodeURIComponent(url.hash.slice(1));
      url.hash = "";
      assert(exists(url), `${path} links to ${link}`);
      if (anchor === "") continue;
      const headings = anchors(Deno.readTextFileSync(url));
      assert(headings.includes(anchor), `${path} links to ${link}`);
    }
  });
}

Deno.test("docs: README.md has fewer than 250 lines", () => {
  const lines = read("README.md").split("\n").length - 1;
  assert(lines < 250, `it has ${lines}`);
});

Deno.test("docs: docs/README.md links to every page of docs/", () => {
  const linked = links(read("docs/README.md"));
  for (const path of files("docs/")) {
    const name = path.slice("docs/".length);
    assert(name === "README.md" || linked.includes(name), path);
  }
});

/** The options in the sections of the page of limits, by section and name. */
function documentedOptions(): Map<string, Map<string, Record<string, string>>> {
  const page = read(LIMITS);
  const headings = [...page.matchAll(/^### (\w+Options)$/gm)];
  return new Map(headings.map(([, heading]) => [
    heading!,
    new Map(
      table(section(page, heading!)).map((row) => [code(row["option"]!), row]),
    ),
  ]));
}

Deno.test("docs: the tables of options have every option that is exported, and no other", async () => {
  const interfaces = await exportedInterfaces(Object.values(config.exports));
  const tables = documentedOptions();
  const optionsOf = (name: string): string[] => {
    const { properties, bases } = interfaces.get(name)!;
    return [
      ...properties.map(({ name }) => name),
      ...bases.filter((base) => !tables.has(base)).flatMap(optionsOf),
    ];
  };
  for (const [name, rows] of tables) {
    assert(interfaces.has(name), `${name} is exported`);
    assertEquals([...rows.keys()].sort(), optionsOf(name).sort(), name);
  }
  const documented = new Set(
    [...tables.values()].flatMap((t) => [...t.keys()]),
  );
  for (const [name, { properties }] of interfaces) {
    if (!/(?:Options|Limits)$/.test(name)) continue;
    for (const property of properties) {
      assert(documented.has(property.name), `${name}.${property.name}`);
    }
  }
});

/** The defaults that are numbers, by section. */
const DEFAULTS: Record<string, Readonly<Record<string, number>>> = {
  SessionOptions: DEFAULT_SESSION_OPTIONS,
  KeepAliveOptions: DEFAULT_KEEP_ALIVE_OPTIONS,
  MemoryPoolOptions: DEFAULT_MEMORY_POOL_OPTIONS,
  PeerOptions: DEFAULT_PEER_LIMITS,
  ForwardOptions: { maxConcurrentCalls: DEFAULT_MAX_FORWARDED_CALLS },
  DialOptions: { timeout: DEFAULT_CONNECT_TIMEOUT },
  ReconnectOptions: DEFAULT_RECONNECT_OPTIONS,
  ListenResumeOptions: DEFAULT_RESUME_OPTIONS,
  BalanceOptions: DEFAULT_BALANCE_OPTIONS,
  PoolOptions: DEFAULT_POOL_OPTIONS,
  FanOutOptions: DEFAULT_FAN_OUT_OPTIONS,
  RetryOptions: DEFAULT_RETRY_OPTIONS,
  RateLimitOptions: DEFAULT_RATE_LIMIT_OPTIONS,
  ReflectionOptions: DEFAULT_REFLECTION_OPTIONS,
  RendezvousOptions: DEFAULT_RENDEZVOUS_OPTIONS,
  PeerMeetingOptions: { directTimeout: DEFAULT_DIRECT_TIMEOUT },
  CodecOptions: { maxDepth: DEFAULT_MAX_DEPTH, maxItems: DEFAULT_MAX_ITEMS },
  CloseOnSignalsOptions: { drainTimeout: DEFAULT_SIGNAL_DRAIN_TIMEOUT },
};

Deno.test("docs: the tables of options have the defaults of the code", () => {
  const tables = documentedOptions();
  for (const [name, defaults] of Object.entries(DEFAULTS)) {
    for (const [option, value] of Object.entries(defaults)) {
      const row = tables.get(name)?.get(option);
      assert(row, `${name} has a row for ${option}`);
      assertEquals(quantity(row["default"]!), value, `${name}.${option}`);
    }
  }
});

Deno.test("docs: the tables of options have the defaults that doc comments state", async () => {
  const interfaces = await exportedInterfaces(Object.values(config.exports));
  const tables = documentedOptions();
  const stated = (name: string): [string, string][] => {
    const { properties, bases } = interfaces.get(name)!;
    return [
      ...properties.flatMap(({ name, doc }): [string, string][] => {
        const number =
          /Default: ([\d,]+(?:\.\d+)?(?: (?:KiB|MiB|ms|s))?)\.(?: |$)/.exec(
            doc,
          );
        return number === null ? [] : [[name, number[1]!]];
      }),
      ...bases.filter((base) => !tables.has(base)).flatMap(stated),
    ];
  };
  let compared = 0;
  for (const [name, rows] of tables) {
    for (const [option, text] of stated(name)) {
      const documented = quantity(rows.get(option)!["default"]!);
      assertEquals(documented, quantity(text), `${name}.${option}`);
      compared++;
    }
  }
  assert(compared > 10, "most options with a number for a default state it");
});

/** Uses options where they are checked; throws what that throws. */
type Use = (options: Record<string, number>) => void | Promise<void>;

const USES: Record<string, Use> = {
  async SessionOptions(options) {
    const [transport, other] = memoryTransports();
    const session = qmux(transport, options as SessionOptions);
    await other.close();
    await session.close();
  },
  async PeerOptions(options) {
    const [peer] = memoryPair(options);
    await peer.close();
  },
  async DialOptions(options) {
    await ignoreAddress(dial("nothing:", options));
  },
  async ReconnectOptions(reconnect) {
    await ignoreAddress(dial("nothing:", { reconnect }));
  },
  async ResumeOptions(resume) {
    await ignoreAddress(dial("nothing:", { resume }));
  },
  async ListenResumeOptions(resume) {
    await ignoreAddress(listen("nothing:", { resume }));
  },
  async CloseOptions(options) {
    const [peer] = memoryPair();
    try {
      await peer.close(options);
    } finally {
      await peer.close();
    }
  },
  CloseOnSignalsOptions(options) {
    closeOnSignals([], options)[Symbol.dispose]();
  },
  async ForwardOptions(options) {
    const [peer] = memoryPair();
    try {
      forward(peer, options);
    } finally {
      await peer.close();
    }
  },
  async KeepAliveOptions(keepAlive) {
    const [peer] = memoryPair({ session: { keepAlive } });
    await peer.close();
  },
  MemoryPoolOptions(options) {
    memoryPool(options);
  },
  BalanceOptions: (options) => void workerPool(options),
  async PoolOptions(options) {
    try {
      await dialPool(["nothing:"], options);
    } catch (error) {
      if (!(error instanceof TalkError)) throw error;
    }
  },
  FanOutOptions: (options) => void fanOut(undefined, options),
  SubscribeOptions(options) {
    using fan = fanOut();
    fan.subscribe(options);
  },
  RetryOptions: (options) => void retry(options),
  RateLimitOptions: (options) => void rateLimit(options),
  ReflectionOptions: (options) => void withReflection(() => {}, options),
  ListenOptions: (options) => ignoreAddress(listen("nothing:", options)),
  ServeWebSocketOptions: (options) => serveWebSocket(options).listener.close(),
  RendezvousOptions: (options) => void rendezvousService(options),
  PeerMeetingOptions: (rendezvous) =>
    ignoreAddress(dial("nothing:", { rendezvous })),
  CodecOptions(options) {
    json(options);
  },
  MessageTransportOptions(options) {
    const { port1, port2 } = new MessageChannel();
    try {
      void messagePortTransport(port1, options).close();
    } finally {
      port1.close();
      port2.close();
    }
  },
};

/** What goes with an option whose range depends on another one. */
const OTHERS: Record<string, Record<string, number>> = {
  minDelay: { maxDelay: 2 ** 31 - 1 },
  maxDelay: { minDelay: 0 },
};

/** Options are checked before the address is, which has no such scheme. */
async function ignoreAddress(dialed: Promise<unknown>): Promise<void> {
  try {
    await dialed;
  } catch (error) {
    if (!(error instanceof TalkError)) throw error;
    assertEquals(error.code, "unknown-scheme");
  }
}

for (const [name, rows] of documentedOptions()) {
  for (const [option, { range = "" }] of rows) {
    if (range === "") continue;
    Deno.test(`docs: ${name}.${option} has the range that its table says`, async () => {
      const [least = "", most = ""] = range.split(/ to | or (?=more)/);
      const use = USES[name];
      assert(use, `${name} with ranges can be tried`);
      const others = OTHERS[option] ?? {};
      const at = (value: number) => use({ ...others, [option]: value });
      const min = quantity(least);
      await at(min);
      await assertRejects(async () => await at(min - 1), RangeError);
      await assertRejects(async () => await at(NaN), RangeError);
      if (most === "more") return;
      await at(quantity(most));
      await assertRejects(
        async () => await at(2 * quantity(most)),
        RangeError,
      );
    });
  }
}

Deno.test("docs: the tables of errors have every code, and no other", () => {
  const page = read("docs/errors.md");
  for (const layer of LAYERS) {
    const source = read(`${layer}/errors.ts`);
    const [, name, union] =
      /export type (\w+Error)Code =((?:\s+\| "[\w-]+")+);/.exec(source) ?? [];
    const codes = [...union!.matchAll(/"([\w-]+)"/g)].map(([, c]) => c!);
    const rows = table(section(page, name!));
    assertEquals(
      rows.map((row) => code(row["code"]!)).sort(),
      codes.sort(),
      name,
    );
  }
});

Deno.test("docs: every row of the tables of promises, resources and rules names tests that exist", () => {
  const page = read(LIMITS);
  const promises = [...page.matchAll(/^### (To a server, about .*)$/gm)];
  assert(promises.length > 0, "there are promises");
  const headings = promises.map(([, heading]) => heading!);
  for (const heading of [...headings, "Resources", "Rules"]) {
    for (const row of table(section(page, heading))) {
      const tests = [...row["test"]!.matchAll(/`([^`]+)`((?:,? "[^"]+")+)/g)];
      assert(tests.length > 0, `${Object.values(row)[0]} names a test`);
      for (const [, path, names] of tests) {
        const source = read(path!);
        for (const [, name] of names!.matchAll(/"([^"]+)"/g)) {
          assert(source.includes(name!), `there is no "${name}" in ${path}`);
        }
      }
    }
  }
});

Deno.test("docs: the table of resources has the defaults of the code", () => {
  const defaults: Record<string, number> = {
    ...DEFAULT_SESSION_OPTIONS,
    ...DEFAULT_PEER_LIMITS,
    maxWaitingCalls: DEFAULT_RECONNECT_OPTIONS.maxWaitingCalls,
    maxDepth: DEFAULT_MAX_DEPTH,
    maxItems: DEFAULT_MAX_ITEMS,
  };
  let compared = 0;
  for (const row of table(section(read(LIMITS), "Resources"))) {
    for (const part of row["default"]!.split("; ")) {
      const [, option, value] = /^`(\w+)`, ([^,]+(?:,\d+)*)/.exec(part) ?? [];
      if (option === undefined || !(option in defaults)) continue;
      assertEquals(quantity(value!), defaults[option], option);
      compared++;
    }
  }
  assert(compared > 10, `compared only ${compared}`);
});

/** The commands of the command line, by their names. */
async function commands(): Promise<Map<string, Command>> {
  const found = new Map<string, Command>();
  for (const path of files("talk/cli/commands/")) {
    if (path.endsWith("_test.ts")) continue;
    const module = await import(projectFile(path).href);
    for (const value of Object.values(module) as Partial<Command>[]) {
      if (typeof value?.help !== "string") continue;
      found.set(value.name!, value as Command);
    }
  }
  return found;
}

Deno.test("docs: the command line has a section for each command, with its forms and options", async () => {
  const page = read("docs/command-line.md");
  const headings = [...page.matchAll(/^## (.*)$/gm)].map(([, name]) => name!);
  const all = await commands();
  assertEquals(headings.sort(), [...all.keys()].sort());
  for (const [name, { usage, help }] of all) {
    const text = section(page, name);
    const forms = /^```\n([\s\S]*?)^```$/m.exec(text)?.[1] ?? "";
    assertEquals(
      forms.trim().split("\n"),
      usage.replace("Usage: ", "").split("\n").map((form) => form.trim()),
      name,
    );
    const options = [
      ...help.slice(help.indexOf("Options:")).matchAll(
        /^ {2}(-.*?) {2,}(.*)$/gm,
      ),
    ].map(([, option, about]) => [option!, about!] as const)
      .filter(([option]) => option !== "-h, --help");
    const rows = options.length === 0 ? [] : table(text);
    assertEquals(
      rows.map((row) => row["option"]!.replaceAll("`", "")),
      options.map(([option]) => option),
      name,
    );
    for (const [i, [option, about]] of options.entries()) {
      const meaning = rows[i]!["meaning"]!.replaceAll("`", "");
      for (const [said] of about.matchAll(/default [^ ,)]+/g)) {
        assert(meaning.includes(said), `${name} ${option}: ${said}`);
      }
    }
  }
});

Deno.test("docs: the command line has every exit code", () => {
  const rows = table(read("docs/command-line.md"));
  assertEquals(
    rows.map((row) => Number(row["exit code"])),
    Object.values(EXIT),
  );
  const comment = read("talk/cli/main.ts").replaceAll(/^ \* ?/gm, "");
  for (const [i, { meaning }] of table(comment).entries()) {
    assert(rows[i]!["meaning"]!.startsWith(meaning!), `exit code ${i}`);
  }
});

const CODECS: Record<string, Codec> = {
  JSON: json(),
  "JSON with bigint": json({ bigint: true }),
  CBOR: cbor(),
  "CBOR without tags": cbor({ tags: false }),
  MessagePack: msgpack(),
};

const CODEC_VALUES = table(
  section(read("docs/codecs.md"), "How values arrive"),
);

for (const row of CODEC_VALUES) {
  const value = code(row["value"]!);
  Deno.test(`docs: codecs make of ${value} what their table says`, () => {
    for (const [name, codec] of Object.entries(CODECS)) {
      const said = code(row[name]!);
      assertEquals(arrival(codec, value), expected(said), name);
    }
  });
}

/** How a value arrives, or the code of the error that encoding it throws. */
function arrival(codec: Codec, expression: string): unknown {
  let bytes: Uint8Array;
  try {
    bytes = codec.encode(evaluate(expression));
  } catch (error) {
    assert(error instanceof CodecError, `${error}`);
    return { code: error.code };
  }
  return { value: codec.decode(bytes) };
}

/** What a cell says: a value, or the code of an error. */
function expected(said: string): unknown {
  return /^[a-z]+-[a-z-]+$/.test(said)
    ? { code: said }
    : { value: evaluate(said) };
}

function evaluate(expression: string): unknown {
  return new Function(`return (${expression});`)();
}

Deno.test("docs: ARCHITECTURE.md names every file of the library, and no other", () => {
  const text = read("ARCHITECTURE.md");
  const chapter = text.slice(
    text.indexOf("\n## Files"),
    text.indexOf("\n### Everything else"),
  );
  const named = chapter.split("\n### `").slice(1).flatMap((section) => {
    const folder = section.slice(0, section.indexOf("`"));
    const cells = [...section.matchAll(/^\| (.*?) \|/gm)].map(([, c]) => c!);
    return cells.flatMap((cell) =>
      [...cell.matchAll(/`([\w/]+\.ts)`/g)].map(([, file]) => folder + file)
    );
  });
  const real = LAYERS.flatMap((layer) => [...files(`${layer}/`)])
    .filter((path) => /(?<!_test)\.ts$/.test(path));
  assertEquals(named.sort(), real.sort());
});
