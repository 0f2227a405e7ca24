/**
 * What the compiler must take, and refuse, of typed services. Nothing here runs:
 * `remote_types_test.ts` has it checked, and has the compiler confirm that each
 * refusal is one.
 *
 * @module
 */
import {
  type ByteStream,
  type Callback,
  callback,
  catchAll,
  handlerFrom,
  type HandlerFunction,
  type Peer,
  type Remote,
  type RemoteBytes,
  type RemoteContinuation,
  type RemoteStream,
  withCall,
  withStream,
} from "@qtalk/qtalk";

/** Whether two types are the same, `any` and modifiers included. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends
  (<T>() => T extends B ? 1 : 2) ? true
  : false;

/** Compiles only if the types are the same. */
function same<A, B>(_same: Same<A, B>): void {}

interface User {
  id: number;
  name: string;
  tags?: string[];
}

class Account {
  balance = 0;
  #secret = 1;
  deposit(amount: number): number {
    return this.balance += amount + this.#secret;
  }
  private audit(): void {}
  protected check(): void {
    this.audit();
  }
}

const service = {
  version: "1.0",
  limits: [1, 2, 3],
  cache: new Map<string, string>(),
  Upper: (s: string) => s.toUpperCase(),
  add: (a: number, b = 1) => a + b,
  all: (...names: string[]) => names.length,
  later: async (user: User) => await Promise.resolve({ ...user, at: 1 }),
  find: (id: number): User | undefined => id === 0 ? undefined : undefined,
  nothing: () => {},
  never: (): never => {
    throw new Error("never");
  },
  where: withCall((call, name: string) => `${name} at ${call.selector}`),
  account: new Account(),
  math: {
    pi: Math.PI,
    trig: { sin: (x: number) => Math.sin(x) },
  },
  async *count(to: number) {
    for (let i = 0; i < to; i++) yield { i };
  },
  stream: () => new ReadableStream<string>(),
  laterStream: () => Promise.resolve(new ReadableStream<number>()),
  sum: withStream(async (values: AsyncIterable<number>) => {
    let sum = 0;
    for await (const value of values) sum += value;
    return sum;
  }),
  double: withStream(async function* (values: AsyncIterable<number>) {
    for await (const value of values) yield 2 * value;
  }),
  connect: async (_db: string): Promise<ByteStream> =>
    await Promise.resolve(new TransformStream()),
  each: (fn: Callback<(user: User, n: number) => boolean>) =>
    fn({ id: 1, name: "" }, 1),
  watch: (options: { onChange?: Callback<(names: string[]) => void> }) => {
    options.onChange?.retain();
    return () => "stopped";
  },
  [catchAll]: ((_call, respond) => respond.return(1)) as HandlerFunction,
  then: () => "never called",
};

/** What has to compile, and what it gives. */
export async function allowed(peer: Peer): Promise<void> {
  const api = peer.remote<typeof service>();
  same<typeof api, Remote<typeof service>>(true);

  const upper = api.Upper("hi");
  same<typeof upper, Promise<string>>(true);
  const user = api.later({ id: 1, name: "Ann" });
  same<
    typeof user,
    Promise<{ at: number; id: number; name: string; tags?: string[] }>
  >(true);
  const found = await api.find(1);
  same<typeof found, null | { id: number; name: string; tags?: string[] }>(
    true,
  );
  same<ReturnType<typeof api.nothing>, Promise<void>>(true);
  same<ReturnType<typeof api.never>, Promise<never>>(true);
  same<Parameters<typeof api.add>, [a: number, b?: number | undefined]>(true);
  same<Parameters<typeof api.where>, [name: string]>(true);
  await api.all("a", "b");

  const balance = await api.account.deposit(5);
  same<typeof balance, number>(true);
  await api.math.trig.sin(1);

  const count = api.count(3);
  same<typeof count, RemoteStream<{ i: number }>>(true);
  for await (const { i } of count) i.toFixed();
  const whole = await api.count(3);
  same<typeof whole, RemoteContinuation<{ i: number }>>(true);
  for await (const text of api.stream()) text.charAt(0);
  for await (const n of api.laterStream()) n.toFixed();

  await api.sum(new ReadableStream<number>());
  const doubled = api.double((async function* () {
    yield 1;
  })());
  for await (const n of doubled) n.toFixed();

  const connection = await api.connect("db");
  same<typeof connection, RemoteBytes>(true);
  const { readable, writable } = connection;
  await readable.pipeTo(writable);

  await api.each((user, n) => user.name.length > n);
  await api.each(async (user) => await Promise.resolve(user.id > 0));
  using stop = await api.watch({ onChange: (names) => void names.join() });
  const stopped = await stop();
  same<typeof stopped, string>(true);
  stop.retain().release();
  await api.watch({ onChange: callback((names: string[]) => void names) });
  await api.watch({});

  interface Declared {
    upper(s: string): string;
    ticks(): AsyncIterable<number>;
    maybe?(): number;
    anything(value: unknown): unknown;
  }
  const declared = peer.remote<Declared>({ timeout: 1_000 });
  same<ReturnType<typeof declared.maybe>, Promise<number>>(true);
  same<ReturnType<typeof declared.anything>, Promise<unknown>>(true);
  for await (const n of declared.ticks()) n.toFixed();

  const fn = peer.remote<(s: string) => number>();
  same<Awaited<ReturnType<typeof fn>>, number>(true);

  const dynamic = peer.remote<Record<string, (n: number) => string>>();
  await dynamic["whatever"]!(1);

  const answers: HandlerFunction = (call, respond) => {
    const back = call.caller.remote<{ state(names: string[]): void }>();
    back.state(["Ann"]);
    return respond.return();
  };
  handlerFrom({ answers });
}

/** What must not compile: each line below a directive is an error. */
export async function refused(peer: Peer): Promise<void> {
  const api = peer.remote<typeof service>();

  // @ts-expect-error a method of another name
  api.upper("hi");
  // @ts-expect-error an argument of another type
  api.Upper(1);
  // @ts-expect-error an argument is missing
  api.Upper();
  // @ts-expect-error one argument too many
  api.Upper("a", "b");
  // @ts-expect-error a property that is missing
  api.later({ id: 1 });
  // @ts-expect-error the call is not sent
  api.where({}, "Ann");
  // @ts-expect-error a nested method of another name
  api.math.trig.cos(1);
  // @ts-expect-error an argument of another type, nested
  api.math.trig.sin("1");
  // @ts-expect-error a nested object is no method
  api.math();
  // @ts-expect-error a value is no method
  api.version;
  // @ts-expect-error an array is no nested object
  api.limits.push(4);
  // @ts-expect-error a Map is no nested object
  api.cache.get("a");
  // @ts-expect-error a value in a nested object is no method
  api.math.pi;
  // @ts-expect-error a field of a class is no method
  api.account.balance;
  // @ts-expect-error a private method
  api.account.audit();
  // @ts-expect-error a protected method
  api.account.check();
  // @ts-expect-error the handler of all the rest has no name
  api[catchAll];
  // @ts-expect-error what JavaScript itself asks for is no method
  api.then();
  // @ts-expect-error methods cannot be set
  api.Upper = () => Promise.resolve("mine");

  // @ts-expect-error the result is a string
  (await api.Upper("hi")).toFixed();
  // @ts-expect-error what is not found is null
  (await api.find(1)).name;
  // @ts-expect-error one value is no stream
  for await (const _ of api.Upper("hi"));
  // @ts-expect-error values of another type
  for await (const { j } of api.count(1)) void j;
  // @ts-expect-error a stream of other values
  api.sum(new ReadableStream<string>());
  // @ts-expect-error an array is no stream
  api.sum([1, 2]);
  // @ts-expect-error bytes are no values
  for await (const _ of await api.connect("db"));
  // @ts-expect-error one value has no bytes
  (await api.Upper("hi")).readable;

  // @ts-expect-error a callback with a parameter of another type
  api.each((user: string) => user.length > 0);
  // @ts-expect-error a callback that returns another type
  api.each(() => "yes");
  // @ts-expect-error a callback of another name
  api.watch({ onchange: () => {} });
  // @ts-expect-error a function that was sent is asynchronous
  (await api.watch({}))().length;
  // @ts-expect-error a function here has no life of its own
  api.Upper.retain();

  // @ts-expect-error a handler function responds, it does not return
  peer.handle("pong", () => "pong");
  // @ts-expect-error values that are streamed have one type
  withStream((values: number[]) => values.length);
}
