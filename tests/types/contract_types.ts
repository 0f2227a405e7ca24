/**
 * What the compiler must take, and refuse, of contracts. Nothing here runs:
 * `remote_types_test.ts` has it checked, and has the compiler confirm that each
 * refusal is one.
 *
 * @module
 */
import type {
  Call,
  CallError,
  Peer,
  RemoteBytes,
  RemoteStream,
} from "@qtalk/qtalk";
import { withCall, withStream } from "@qtalk/qtalk";
import type { CarriedByCbor } from "@qtalk/qtalk/codec/cbor";
import {
  bytes,
  clientOf,
  contract,
  type DeclaredError,
  implement,
  type Implementation,
  makeError,
  matchError,
  metaOf,
  method,
  type ServiceOf,
  streamOf,
} from "@qtalk/qtalk/contract";
import { type } from "npm:arktype@^2";
import * as v from "npm:valibot@^1";
import { z } from "npm:zod@^4";

/** Whether two types are the same, `any` and modifiers included. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends
  (<T>() => T extends B ? 1 : 2) ? true
  : false;

/** Compiles only if the types are the same. */
function same<A, B>(_same: Same<A, B>): void {}

interface User {
  name: string;
  age: number;
}

const api = contract({
  name: "all",
  methods: {
    add: method({
      args: [z.number(), z.number().optional()],
      result: z.number(),
    }),
    valibot: method({
      args: [v.object({ name: v.string(), age: v.number() })],
      result: v.array(v.string()),
    }),
    ark: method({
      args: [type({ name: "string", age: "number" })],
      result: type("string[]"),
    }),
    length: method({
      args: [z.string().transform((text) => text.length)],
      result: z.string().transform((text) => text.length),
    }),
    defaults: method({ args: [z.string().default("x")], result: z.boolean() }),
    rest: method({ args: [z.string()], rest: z.number() }),
    sum: method({ args: [streamOf(z.number())], result: z.number() }),
    save: method({ args: [z.string(), streamOf(v.string())] }),
    count: method({ args: [z.int()], result: streamOf(z.int()) }),
    open: method({ args: [z.string()], result: bytes() }),
    date: method({ args: [z.date()], result: z.date() }),
    parsed: method({ result: z.coerce.date() }),
    find: method({ result: z.string().optional() }),
    nothing: method(),
    call: method({ result: z.string() }),
    order: method({
      args: [z.string()],
      errors: {
        "out-of-stock": z.object({ left: z.number() }),
        closed: z.undefined(),
      },
      meta: z.object({ tenant: z.string() }),
    }),
    nested: {
      deep: { up: method({ args: [z.string()], result: z.string() }) },
    },
  },
});
type Methods = typeof api.methods;
const { order } = api.methods;

function tenantOf(call: Call) {
  // @ts-expect-error The schema knows no such name.
  metaOf(order, call).lessee;
  return metaOf(order, call).tenant;
}

/** The functions, with what they get and return. */
export const complete: Implementation<Methods> = {
  add: (a, b) => {
    same<typeof a, number>(true);
    same<typeof b, number | undefined>(true);
    return a + (b ?? 1);
  },
  valibot: (user) => {
    same<typeof user, User>(true);
    return [user.name];
  },
  ark: async (user) => {
    same<typeof user, User>(true);
    return await Promise.resolve([user.name]);
  },
  length: (length) => {
    same<typeof length, number>(true);
    return "text";
  },
  defaults: withCall((call, text) => {
    same<typeof text, string>(true);
    return call.selector === text;
  }),
  rest: (first, ...others) => {
    same<typeof first, string>(true);
    same<typeof others, number[]>(true);
  },
  sum: withStream(async (values) => {
    same<typeof values, AsyncIterable<number>>(true);
    return (await Array.fromAsync(values)).length;
  }),
  save: async (_name, lines) => {
    same<typeof lines, ReadableStream<string>>(true);
    await lines.cancel();
  },
  async *count(to) {
    yield await Promise.resolve(to);
  },
  open: () => new TransformStream<Uint8Array, Uint8Array>(),
  date: (date) => new Date(date.getTime()),
  parsed: () => "2020-01-01",
  find: () => undefined,
  nothing: () => {},
  call: () => "called",
  order: withCall((call) => {
    same<ReturnType<typeof tenantOf>, string>(true);
    tenantOf(call);
    throw makeError(order, "None left", {
      code: "out-of-stock",
      details: { left: 0 },
    });
  }),
  nested: { deep: { up: (text) => text.toUpperCase() } },
};

/** What calls take and return. */
export async function calls(peer: Peer, cborPeer: Peer<CarriedByCbor>) {
  const client = clientOf(api, peer);
  same<ReturnType<typeof client.add>, Promise<number>>(true);
  same<ReturnType<typeof client.ark>, Promise<string[]>>(true);
  same<ReturnType<typeof client.length>, Promise<number>>(true);
  same<ReturnType<typeof client.count>, RemoteStream<number>>(true);
  same<ReturnType<typeof client.open>, Promise<RemoteBytes>>(true);
  same<ReturnType<typeof client.find>, Promise<string | null>>(true);
  same<ReturnType<typeof client.nothing>, Promise<void>>(true);
  same<ReturnType<typeof client.call>, Promise<string>>(true);
  same<ReturnType<typeof client.date>, Promise<string>>(true);
  await client.add(1);
  await client.add(1, undefined);
  await client.defaults();
  await client.rest("a", 1, 2);
  await client.sum(ReadableStream.from([1]));
  await client.save("a", ReadableStream.from(["b"]));
  for await (const n of client.count(3)) same<typeof n, number>(true);
  await client.nested.deep.up("a");
  await peer.remote<ServiceOf<typeof api>>().nested.deep.up("a");

  const dated = await clientOf(api, cborPeer).date(new Date());
  same<typeof dated, Date>(true);

  const checked = clientOf(api, peer, { validate: true });
  same<ReturnType<typeof checked.add>, Promise<number>>(true);
  same<ReturnType<typeof checked.count>, RemoteStream<number>>(true);
  same<ReturnType<typeof checked.open>, Promise<RemoteBytes>>(true);
  same<ReturnType<typeof checked.find>, Promise<string | null>>(true);
  same<ReturnType<typeof checked.nothing>, Promise<void>>(true);
  same<ReturnType<typeof checked.parsed>, Promise<Date>>(true);
  await checked.nested.deep.up("a");
  await clientOf(api, cborPeer, { validate: true }).date(new Date());

  const declared = await matchError(order, new Error());
  if (declared?.code === "out-of-stock") {
    same<typeof declared.details, { left: number }>(true);
  }
  same<
    DeclaredError<typeof order>["code"],
    "out-of-stock" | "closed"
  >(true);
  same<ReturnType<typeof makeError>, CallError>(true);

  // @ts-expect-error There is no such method.
  await client.sub(1, 2);
  // @ts-expect-error The argument is a number.
  await client.add("1");
  // @ts-expect-error The first argument is required.
  await client.add();
  // @ts-expect-error There is no third argument.
  await client.add(1, 2, 3);
  // @ts-expect-error A key is missing.
  await client.valibot({ name: "Ann" });
  // @ts-expect-error A key has another type.
  await client.ark({ name: "Ann", age: "30" });
  // @ts-expect-error It takes what the schema accepts, not what it makes of it.
  await client.length(4);
  // @ts-expect-error The further arguments are numbers.
  await client.rest("a", "b");
  // @ts-expect-error The argument is a stream.
  await client.sum(1);
  // @ts-expect-error The values are numbers.
  await client.sum(ReadableStream.from(["1"]));
  // @ts-expect-error JSON does not carry a Date.
  await client.date(new Date());
  // @ts-expect-error The result is a number.
  (await client.add(1)).toUpperCase();
  // @ts-expect-error A stream is no value.
  (await client.count(1)).toFixed();
  // @ts-expect-error It takes no arguments.
  await client.nothing(1);
  // @ts-expect-error The nested method takes a string.
  await client.nested.deep.up(1);
  // @ts-expect-error JSON makes a string of the result, which its schema refuses.
  await checked.date();
  // @ts-expect-error The schema of the result does not accept its own output.
  await checked.length("a");
  // @ts-expect-error The argument is a number, with validation, too.
  await checked.add("1");
  // @ts-expect-error The code is not declared.
  makeError(order, "x", { code: "lost", details: undefined });
  // @ts-expect-error The details have another type.
  makeError(order, "x", { code: "closed", details: 5 });
}

/** Mistakes in contracts and in what implements them. */
export function mistakes() {
  const { add, nested, ...others } = complete;
  // @ts-expect-error A function is missing.
  implement(api, { ...others, nested });
  // @ts-expect-error A nested function is missing.
  implement(api, { ...others, add, nested: { deep: {} } });
  // @ts-expect-error There is one more.
  implement(api, { ...others, add, nested, sub: () => 1 });
  // @ts-expect-error The result is a number.
  implement(api, { ...others, nested, add: () => "1" });
  // @ts-expect-error The argument is a number.
  implement(api, { ...others, nested, add: (a: string) => a.length });
  // @ts-expect-error It returns a stream.
  implement(api, { ...others, add, nested, count: () => 1 });
  // @ts-expect-error The values of the stream are numbers.
  implement(api, { ...complete, count: () => ReadableStream.from(["1"]) });
  // @ts-expect-error It returns bytes.
  implement(api, { ...complete, open: () => ReadableStream.from([1]) });
  // @ts-expect-error A schema is no method.
  contract({ name: "x", methods: { a: z.string() } });
  // @ts-expect-error A contract has a name.
  contract({ methods: {} });
  // @ts-expect-error There is no such member.
  method({ args: [], reslut: z.string() });
  // @ts-expect-error That is no schema.
  method({ args: ["string"] });
  // @ts-expect-error Bytes are no argument.
  method({ args: [bytes()] });
}
