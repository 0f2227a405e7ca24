/**
 * What the compiler must take, and refuse, of services over each codec. Nothing
 * here runs: see `remote_types.ts`.
 *
 * @module
 */
import {
  type ByteStream,
  type Callback,
  type Carried,
  type Codec,
  type CommandPeer,
  dial,
  dialCommand,
  type DialOptions,
  json,
  type KeptCallback,
  listen,
  type ListenOptions,
  memoryPair,
  type Peer,
  type PeerOptions,
  type PeerWith,
  type Remote,
  type RemoteBytes,
  type RemoteStream,
} from "@qtalk/qtalk";
import { type CarriedByCbor, cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";

/** Whether two types are the same, `any` and modifiers included. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends
  (<T>() => T extends B ? 1 : 2) ? true
  : false;

/** Compiles only if the types are the same. */
function same<A, B>(_same: Same<A, B>): void {}

/** A class without hidden members. */
export class Point {
  constructor(readonly x: number, readonly y: number) {}
}

/** A class with hidden members, and methods. */
class Money {
  #cents: number;
  constructor(cents: number, readonly currency: string) {
    this.#cents = cents;
  }
  format(): string {
    return `${this.#cents} ${this.currency}`;
  }
}

interface Row {
  id: number;
  at: Date;
  photo?: Uint8Array;
  tags: Set<string>;
  sizes: Map<string, bigint>;
}

type Json = string | number | boolean | null | Json[] | { [k: string]: Json };
interface Tree {
  value: Date;
  children: Tree[];
  parent?: Tree;
}
type Nested = number | readonly Nested[];
type Pair = [number, Pair | null];
type List = [head: number, tail?: List];
type Expression = number | [string, ...Expression[]];
type Either = { left: Either } | { right: Date } | Either[];
type Dictionary = Map<string, Dictionary | number>;
interface Linked<T> {
  item: T;
  next?: Linked<T[]>;
}
interface Listener {
  on: Callback<(event: Json, next: Listener) => void>;
}
/** A class that contains itself. */
export class Node2 {
  name = "";
  readonly nodes: Node2[] = [];
}

const service = {
  now: () => new Date(),
  at: (date: Date) => date.getTime(),
  either: (date: Date | string) => String(date),
  bytes: () => new Uint8Array(1),
  size: (bytes: Uint8Array) => bytes.length,
  file: (file: { name: string; bytes: Uint8Array }) => file.bytes.length,
  next: (id: bigint) => id + 1n,
  wide: (id: number | bigint) => id,
  cache: () => new Map<string, Set<number>>(),
  union: (sets: Set<number>[]) => sets.length,
  row: (row: Row): Row => row,
  rows: (): Row[] => [],
  point: (point: Point): Point => point,
  money: (money: Money): Money => money,
  url: (url: URL): URL => url,
  error: () => new Error("no") as Error | number,
  nestedError: () => ({ error: new Error("no") }),
  notice: (notice: { name: string; message: string }) => notice,
  symbol: () => Symbol("s"),
  pattern: (pattern: RegExp) => pattern.source,
  buffer: () => new ArrayBuffer(1),
  promises: () => [Promise.resolve(1)],
  holes: (): [string | undefined, (number | undefined)[]] => [undefined, []],
  download: () => new ReadableStream<Uint8Array>(),
  laterDownload: () => Promise.resolve(new ReadableStream<Uint8Array>()),
  async *chunks() {
    yield new Uint8Array(1);
  },
  async *dates(): AsyncGenerator<Date, string, number> {
    yield new Date();
    return "not sent";
  },
  async *maps() {
    yield new Map<string, string>();
  },
  echo: (value: unknown) => value,
  connect: (): ByteStream => new TransformStream(),
};

/** What has to compile with JSON, and what it gives. */
export async function jsonAllowed(peer: Peer): Promise<void> {
  const api = peer.remote<typeof service>();
  const now = await api.now();
  same<typeof now, string>(true);
  const either = await api.either(new Date());
  same<typeof either, string>(true);
  const bytes = await api.bytes();
  same<typeof bytes, string>(true);
  const point = await api.point({ x: 1, y: 2 });
  point.x.toFixed();
  const url = await api.url(null as never);
  same<typeof url, string>(true);
  const answer = await api.error();
  same<typeof answer, number>(true);
  const notice = await api.notice({ name: "a", message: "b" });
  notice.message.charAt(0);
  const holes = await api.holes();
  same<typeof holes, [string | null, (number | null)[]]>(true);
  for await (const chunk of api.download()) chunk.byteLength;
  for await (const chunk of api.laterDownload()) chunk.byteLength;
  for await (const chunk of api.chunks()) chunk.byteLength;
  for await (const date of api.dates()) date.charAt(0);
  const dates = api.dates();
  same<typeof dates, RemoteStream<string>>(true);
  const end = await dates[Symbol.asyncIterator]().next();
  if (end.done) same<typeof end.value, undefined>(true);
  const connection = await api.connect();
  same<typeof connection, RemoteBytes>(true);
  await api.echo(new Map());
}

/** What must not compile with JSON. */
export async function jsonRefused(peer: Peer): Promise<void> {
  const api = peer.remote<typeof service>();
  // @ts-expect-error a Date arrives as text
  await api.at(new Date());
  // @ts-expect-error a date's text is no Date
  (await api.now()).getTime();
  // @ts-expect-error bytes arrive as text
  await api.size(new Uint8Array(1));
  // @ts-expect-error bytes in an object arrive as text
  await api.file({ name: "a", bytes: new Uint8Array(1) });
  // @ts-expect-error the text of bytes has no subarray()
  (await api.bytes()).subarray(1);
  // @ts-expect-error there is no bigint
  await api.next(1n);
  // @ts-expect-error there is no bigint in a union either
  await api.wide(1n);
  // @ts-expect-error a Map cannot be returned
  await api.cache();
  // @ts-expect-error a Set cannot be sent
  await api.union([new Set([1])]);
  // @ts-expect-error an object with a Map cannot be returned
  await api.rows();
  // @ts-expect-error an instance would arrive without its methods
  await api.money(new Money(1, "EUR"));
  // @ts-expect-error a URL arrives as text
  await api.url(new URL("http://a/"));
  // @ts-expect-error an Error cannot be within a result
  await api.nestedError();
  // @ts-expect-error a symbol cannot be returned
  await api.symbol();
  // @ts-expect-error a RegExp cannot be sent
  await api.pattern(/x/);
  // @ts-expect-error an ArrayBuffer cannot be returned
  await api.buffer();
  // @ts-expect-error a promise cannot be within a result
  await api.promises();
  // @ts-expect-error a stream of values that cannot be sent
  for await (const _ of api.maps());
  // @ts-expect-error a result has no methods of its class
  (await api.money(null as never)).format();
}

/** What has to compile with CBOR, and what it gives. */
export async function cborAllowed(peer: Peer<CarriedByCbor>): Promise<void> {
  const api = peer.remote<typeof service>();
  (await api.now()).getTime();
  await api.at(new Date());
  (await api.bytes()).subarray(1);
  await api.size(new Uint8Array(1));
  await api.file({ name: "a", bytes: new Uint8Array(1) });
  const next = await api.next(1n);
  same<typeof next, bigint>(true);
  const wide = await api.wide(1n);
  same<typeof wide, number | bigint>(true);
  const cache = await api.cache();
  same<typeof cache, Map<string, Set<number>>>(true);
  await api.union([new Set([1])]);
  const [row] = await api.rows();
  row?.at.getTime();
  row?.tags.has("a");
  same<NonNullable<typeof row>["sizes"], Map<string, bigint>>(true);
  const sent: Row = {
    id: 1,
    at: new Date(),
    tags: new Set(),
    sizes: new Map([["a", 1n]]),
  };
  await api.row(sent);
  for await (const map of api.maps()) map.get("a");
  for await (const date of api.dates()) date.getTime();
  for await (const chunk of api.download()) chunk.byteLength;
}

/** What must not compile with CBOR. */
export async function cborRefused(peer: Peer<CarriedByCbor>): Promise<void> {
  const api = peer.remote<typeof service>();
  // @ts-expect-error a number is no bigint
  await api.next(1);
  // @ts-expect-error an instance would arrive without its methods
  await api.money(new Money(1, "EUR"));
  // @ts-expect-error a result has no methods of its class
  (await api.money(null as never)).format();
  // @ts-expect-error a URL arrives as text
  await api.url(new URL("http://a/"));
  // @ts-expect-error a symbol cannot be returned
  await api.symbol();
  // @ts-expect-error a RegExp cannot be sent
  await api.pattern(/x/);
  // @ts-expect-error an Error cannot be within a result
  await api.nestedError();
}

/** What a codec of the program carries. */
interface DatesOnly extends Carried {
  date: Date;
}

/** The types of peers follow from their options. */
export async function peers(): Promise<void> {
  same<ReturnType<typeof json>, Codec>(true);
  const [a, b] = memoryPair({ codec: cbor() }, {});
  same<typeof a, Peer<CarriedByCbor>>(true);
  same<typeof b, Peer>(true);
  const dialed = await dial("tcp://a", { codec: cbor() });
  same<typeof dialed, Peer<CarriedByCbor>>(true);
  (await dialed.remote<typeof service>().now()).getTime();
  const plain = await dial("tcp://a", { codec: json(), timeout: 1 });
  same<typeof plain, Peer>(true);
  const again = await dial("tcp://a", { codec: cbor(), reconnect: {} });
  (await again.remote<typeof service>().now()).getTime();
  await using listener = await listen("tcp://a", { codecs: [cbor(), json()] });
  for await (const peer of listener) {
    same<typeof peer, Peer<CarriedByCbor>>(true);
  }
  await using other = await listen("tcp://a", { codecs: [json(), cbor()] });
  for await (const peer of other) same<typeof peer, Peer>(true);

  // What `onPeer` returns is inferred besides.
  await using known = await listen("tcp://a", {
    codec: cbor(),
    async onPeer(peer) {
      same<typeof peer, Peer<CarriedByCbor>>(true);
      return { since: await peer.remote<typeof service>().now() };
    },
    handler: (call, respond) =>
      respond.return(call.peer.context.since.getTime()),
  });
  for await (const peer of known) {
    same<typeof peer, PeerWith<CarriedByCbor, { since: Date }>>(true);
    peer satisfies Peer<CarriedByCbor>;
    same<typeof peer.context.since, Date>(true);
    (await peer.remote<typeof service>().now()).getTime();
  }
  const options: ListenOptions<CarriedByCbor, string> = { codec: cbor() };
  await using given = await listen("tcp://a", options);
  for await (const peer of given) same<typeof peer.context, string>(true);
  const asked = await dial(() => "tcp://a", { codec: cbor() });
  same<typeof asked, Peer<CarriedByCbor>>(true);
  const command = dialCommand("sh", { codec: cbor() });
  same<typeof command, CommandPeer<CarriedByCbor>>(true);
  (await command.remote<typeof service>().now()).getTime();

  const [go] = memoryPair({ codec: json({ bigint: true }) });
  const api = go.remote<typeof service>();
  const id = await api.wide(1n);
  same<typeof id, number | bigint>(true);
  // @ts-expect-error a small bigint arrives as a number
  await api.next(1n);
  // @ts-expect-error a Date arrives as text
  await api.at(new Date());

  const [packed] = memoryPair({ codec: msgpack() });
  const pack = packed.remote<typeof service>();
  await pack.size(new Uint8Array(1));
  await pack.wide(1n);
  (await pack.bytes()).subarray(1);
  // @ts-expect-error a Date arrives as text
  await pack.at(new Date());
  // @ts-expect-error a Map cannot be returned
  await pack.cache();

  const [untagged] = memoryPair({ codec: cbor({ tags: false }) });
  await untagged.remote<typeof service>().size(new Uint8Array(1));
  // @ts-expect-error without tags, a Date arrives as text
  await untagged.remote<typeof service>().at(new Date());

  const anyPeer = (peer: Peer) => peer.call("x");
  await anyPeer(a);
  const richPeer = (peer: Peer<CarriedByCbor>) => peer.call("x");
  // @ts-expect-error a peer with JSON carries less
  await richPeer(b);

  const { encode, decode } = json();
  const mine: Codec<DatesOnly> = { name: "mine", encode, decode };
  const [custom] = memoryPair({ codec: mine });
  (await custom.remote<typeof service>().now()).getTime();
}

/** Recursive types, in both directions. */
interface Recursive {
  json(value: Json): Json;
  tree(value: Tree): Tree;
  nested(value: Nested): Nested;
  pair(value: Pair): Pair;
  list(value: List): List;
  expression(value: Expression): Expression;
  either(value: Either): Promise<Either>;
  linked(value: Linked<number>): Linked<number>;
  listen(listener: Listener): Listener;
  node(value: Node2): Node2;
  many(...values: Json[]): AsyncIterable<Json>;
  collect(values: AsyncIterable<Json>): Json;
  call(fn: Callback<(value: Json) => Json>): (value: Json) => Json;
  transform(fn: Callback<(value: Json) => Json>): (value: Json) => Json;
  readonly self: Recursive;
}

/** What has to compile of recursive types with JSON. */
export async function recursive(peer: Peer): Promise<void> {
  const api = peer.remote<Recursive>();
  const value = await api.json({ a: [1, "b", null, { c: [] }] });
  same<typeof value, string | number | boolean | null | typeof value>(true);
  const json: Json = value;
  await api.json(json);
  const tree = await api.tree(null as never);
  tree.children[0]?.children[0]?.parent?.value.charAt(0);
  const nested: Nested = await api.nested([1, [2, [3]]]);
  await api.nested(nested);
  const pair: Pair = await api.pair([1, [2, null]]);
  await api.pair(pair);
  const list: List = await api.list([1, [2, [3]]]);
  await api.list(list);
  const expression: Expression = await api.expression(["+", 1, ["-", 2]]);
  await api.expression(expression);
  const either = await api.either(null as never);
  if (!Array.isArray(either) && "right" in either) either.right.charAt(0);
  const linked = await api.linked({ item: 1, next: { item: [1] } });
  linked.next?.next?.item[0]?.[0]?.toFixed();
  const { on } = await api.listen({
    on: (event, next) => void [event, next.on("again", next as never)],
  });
  await on(["a"], null as never);
  (await api.node({ name: "a", nodes: [] })).nodes[0]?.nodes;
  for await (const each of api.many(1, "a", [null])) void (each as Json);
  const fn = await api.transform((given) => [given]);
  void ((await fn({ a: 1 })) as Json);
  await api.self.self.self.json(1);
}

/** What has to compile of recursive types with CBOR. */
export async function recursiveCbor(peer: Peer<CarriedByCbor>): Promise<void> {
  const api = peer.remote<
    Recursive & { dictionary(value: Dictionary): Dictionary }
  >();
  const tree: Tree = await api.tree({ value: new Date(), children: [] });
  await api.tree(tree);
  const either: Either = await api.either([{ right: new Date() }]);
  await api.either(either);
  const dictionary = await api.dictionary(new Map([["a", new Map()]]));
  const inner = dictionary.get("a");
  if (inner instanceof Map) inner.get("b");
  void ((await api.json([1])) as Json);
}

/** What must not compile of recursive types. */
export async function recursiveRefused(peer: Peer): Promise<void> {
  const api = peer.remote<Recursive>();
  // @ts-expect-error a Date is not JSON
  await api.json({ a: [new Date()] });
  // @ts-expect-error a date in a recursive type arrives as text
  await api.tree({ value: new Date(), children: [] });
  // @ts-expect-error another type deep within
  await api.nested([1, ["a"]]);
  // @ts-expect-error names of functions are never sent
  await api.call(null as never);
}

/** Functions as parameters. */
interface Functions {
  sync(fn: (n: number) => number): number;
  callback(fn: Callback<(n: number) => number>): Promise<number>;
  async(fn: (n: number) => Promise<number>): Promise<number>;
  heard(fn: (n: number) => void): void;
  stream(fn: (n: number) => AsyncIterable<number>): void;
  deep(options: { on: { change?: (n: number) => string } }): void;
  deepAsync(options: { on: { change?: (n: number) => Promise<string> } }): void;
  list(fns: ((n: number) => number)[]): void;
  dates(fn: Callback<(at: Date) => void>): void;
  give(): { stop: () => void; state: () => Promise<string>; id: number };
  counter(): { next: () => number; reset?: (n: number) => number };
  kept(): { state: KeptCallback<() => string> };
  user(user: User): User;
  users(): { list: User[] };
}

/** A class with methods, and nothing hidden. */
class User {
  constructor(readonly name: string) {}
  greet(): string {
    return `Hello, ${this.name}`;
  }
}

/** A class with data, and methods that return what calls return. */
class Account {
  constructor(readonly id: string) {}
  get label(): string {
    return `Account ${this.id}`;
  }
  async balance(): Promise<number> {
    return await Promise.resolve(this.id.length);
  }
  async deposit(amount: number): Promise<void> {
    await Promise.resolve(amount);
  }
  async *entries(): AsyncGenerator<number> {
    yield await Promise.resolve(1);
  }
  close(): void {}
}

/** A class without data, whose instances have functions of their own. */
export class Handle {
  readonly stop: () => Promise<void> = () => Promise.resolve();
  readonly state = (_at: number): Promise<string> => Promise.resolve("ok");
}

interface WithFunctions {
  id: number;
  onChange: (n: number) => void;
  onEnd?: () => void;
  done: Callback<() => void>;
}
type Alias = { id: number; stop(): Promise<void> };

/** Objects with data and functions. */
interface Mixed {
  account(account: Account): Account;
  accounts(): { list: Account[]; byId: Record<string, Account> };
  nested(value: { deep: { account: Account }[] }): void;
  either(value: Account | string): Account | string;
  open(): Promise<Account>;
  listen(fn: Callback<(account: Account) => void>): void;
  some(): AsyncIterable<Account>;
  handle(): Handle;
  options(options: WithFunctions): WithFunctions;
  alias(alias: Alias): Alias;
  literal(): { id: number; stop(): Promise<void>; add(n: number): void };
  partial(): Pick<Account, "id">;
}

/** What arrives of objects with data and functions. */
export async function mixedAllowed(peer: Peer): Promise<void> {
  const api = peer.remote<Mixed>();
  (await api.open()).id.charAt(0);
  (await api.accounts()).byId["a"]?.id.charAt(0);
  for await (const { id } of api.some()) id.charAt(0);
  await api.listen(({ id }) => void id.charAt(0));
  await api.either("a");
  const { stop, state } = await api.handle();
  await stop();
  (await state(1)).charAt(0);
  const { id, onChange, onEnd, done } = await api.options({
    id: 1,
    onChange: (n) => void n.toFixed(),
    done: () => {},
  });
  id.toFixed();
  await onChange(1);
  await onEnd?.();
  await done();
  await (await api.alias({ id: 1, stop: async () => {} })).stop();
  const literal = await api.literal();
  await literal.stop();
  await literal.add(1);
  (await api.partial()).id.charAt(0);
}

/** What does not arrive of them. */
export async function mixedRefused(peer: Peer): Promise<void> {
  const api = peer.remote<Mixed>();
  const account = await api.open();
  // @ts-expect-error a method that returns a promise does not arrive
  await account.balance();
  // @ts-expect-error nor does one with parameters
  await account.deposit(1);
  // @ts-expect-error nor one that streams
  account.entries();
  // @ts-expect-error nor one that returns nothing
  account.close();
  // @ts-expect-error nor within arrays
  (await api.accounts()).list[0]?.close();
  // @ts-expect-error nor within dictionaries
  (await api.accounts()).byId["a"]?.close();
  // @ts-expect-error nor in a stream
  for await (const each of api.some()) each.close();
  // @ts-expect-error nor at a callback
  await api.listen((each) => each.close());
  // @ts-expect-error an instance arrives without its methods
  await api.account(new Account("a"));
  // @ts-expect-error also within others
  await api.nested({ deep: [{ account: new Account("a") }] });
  // @ts-expect-error and as one of several
  await api.either(new Account("a"));
}

/** Functions that may be sent. */
export async function functionsAllowed(peer: Peer): Promise<void> {
  const api = peer.remote<Functions>();
  await api.callback((n) => n + 1);
  await api.callback(async (n) => await Promise.resolve(n));
  await api.async((n) => n + 1);
  await api.async(async (n) => await Promise.resolve(n));
  await api.heard((n) => void n.toFixed());
  await api.stream(async function* (n) {
    yield await Promise.resolve(n);
  });
  await api.deepAsync({ on: { change: (n) => n.toFixed() } });
  await api.dates((at) => void at.charAt(0));
  const { stop, state } = await api.give();
  await stop();
  (await state()).charAt(0);
  const { next } = await api.counter();
  (await next()).toFixed();
  const kept = await api.kept();
  (await kept.state()).charAt(0);
  const [user] = (await api.users()).list;
  user?.name.charAt(0);
}

/** Functions that must not be sent. */
export async function functionsRefused(peer: Peer): Promise<void> {
  const api = peer.remote<Functions>();
  // @ts-expect-error the service would get a promise for a number
  await api.sync((n) => n + 1);
  // @ts-expect-error so it would within an object
  await api.deep({ on: { change: (n: number) => n.toFixed() } });
  // @ts-expect-error so it would within an array
  await api.list([(n: number) => n + 1]);
  // @ts-expect-error an instance arrives without its methods
  await api.user(new User("Ann"));
  // @ts-expect-error so it does in a result
  (await api.user({} as never)).greet();
  // @ts-expect-error and within one
  (await api.users()).list[0]?.greet();
  // @ts-expect-error a Date arrives as text at a callback, too
  await api.dates((at: Date) => void at);
}

/** Parameters that may be left out, also before others. */
interface Optional {
  two(a?: string, b?: number): void;
  three(a: string, b?: string, c?: number): void;
  required(a: string | undefined, b: number): void;
  nullable(a: string | null | undefined, b: number): void;
  nullish(a?: string | null, b?: number): void;
  rest(a?: string, ...b: number[]): void;
  callback(a?: { x: number }, fn?: Callback<(n: number) => void>): void;
  unknown(a: unknown, b: number): void;
  listen(fn: Callback<(a?: string, b?: number) => void>): void;
}

/** What may be left out. */
export async function optionalAllowed(
  peer: Peer,
  text: string | undefined,
): Promise<void> {
  const api = peer.remote<Optional>();
  await api.two();
  await api.two("a");
  await api.two("a", 1);
  await api.two(text);
  await api.two(undefined, undefined);
  await api.two("a", undefined);
  await api.three("a", undefined, undefined);
  await api.three("a", "b", 1);
  await api.required("a", 1);
  // It arrives as null.
  await api.nullable(undefined, 1);
  await api.nullish(undefined, 1);
  await api.unknown(undefined, 1);
  await api.rest();
  await api.rest("a", 1, 2);
  await api.callback({ x: 1 }, (n) => void n.toFixed());
  await api.callback();
  await api.listen((a, b) => void [a?.charAt(0), b?.toFixed()]);
}

/** What would arrive as null. */
export async function optionalRefused(
  peer: Peer,
  text: string | undefined,
  fn: Callback<(a?: string, b?: number) => void>,
): Promise<void> {
  const api = peer.remote<Optional>();
  // @ts-expect-error the method would get null for a
  await api.two(undefined, 1);
  // @ts-expect-error it might get null
  await api.two(text, 1);
  // @ts-expect-error nor between others
  await api.three("a", undefined, 1);
  // @ts-expect-error a required parameter that may be undefined
  await api.required(undefined, 1);
  // @ts-expect-error before rest parameters
  await api.rest(undefined, 1);
  // @ts-expect-error before a function
  await api.callback(undefined, () => {});
  // @ts-expect-error callbacks get their arguments in the same way
  await fn(undefined, 1);
  // @ts-expect-error an argument of another type
  await api.two(1);
  // @ts-expect-error an argument that is missing
  await api.required("a");
}

/** Members of every object and function. */
export async function members(peer: Peer): Promise<void> {
  const api = peer.remote<
    typeof service & { add(a: number, b: number): number }
  >();
  const sum = await api.add.call(null, 1, 2);
  same<typeof sum, number>(true);
  await api.add.apply(null, [1, 2]);
  const bound = await api.add.bind(null, 1)(2);
  same<typeof bound, number>(true);
  same<typeof api.add.name, string>(true);
  same<ReturnType<typeof api.hasOwnProperty>, boolean>(true);
  const named = peer.remote<
    Record<"then" | "toJSON" | "name" | "$$typeof" | "__esModule", () => 1>
  >();
  same<keyof typeof named, never>(true);
  // @ts-expect-error a service's method of that name is called by peer.call()
  await named.name();
  // @ts-expect-error nor is a name of a tool a method
  await named.$$typeof();
}

/** Options take `undefined` for what is not set. */
export async function options(signal: AbortSignal | undefined): Promise<void> {
  await dial("tcp://a", { signal, timeout: undefined, codec: undefined });
  const all: Record<keyof DialOptions, undefined> = null as never;
  await dial("tcp://a", all);
  const peer: PeerOptions = { codec: undefined, codecs: undefined };
  memoryPair(peer);
  const remote: Remote<typeof service> = memoryPair()[0].remote<
    typeof service
  >({ signal });
  await remote.now();
}
