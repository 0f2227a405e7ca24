/**
 * How a contract types both sides: nothing in this module exists at run time.
 *
 * @module
 */
import type { Carried } from "../../codec/internal.ts";
import type { CallError } from "../errors.ts";
import type { CallbackLife } from "../remote/callback_life.ts";
import type { Uncallable } from "../remote/cannot_send.ts";
import type {
  ByteStream,
  RemoteBytes,
  RemoteStream,
} from "../remote/streams.ts";
import type {
  Callback,
  RemoteMethod,
  Reply,
  SentEach,
  StreamedValue,
} from "../remote/types.ts";
import type {
  ArgumentSpec,
  Bytes,
  Contract,
  ContractMethod,
  ContractMethods,
  ObjectOf,
  Optional,
  ResultSpec,
  StreamOf,
} from "./contract.ts";
import type {
  InputOf,
  OutputOf,
  StandardSchema,
} from "./validation/standard_schema.ts";

/**
 * The functions that implement the methods of a contract. Each gets what the
 * schemas make of the arguments, and returns what the schema of the result accepts,
 * or a promise of it.
 */
export type Implementation<Methods extends ContractMethods> = {
  readonly [K in keyof Methods]: Methods[K] extends ContractMethod
    ? MethodFunction<Methods[K]>
    : Methods[K] extends ContractMethods ? Implementation<Methods[K]>
    : never;
};

/** The function that implements a method. */
export type MethodFunction<M extends ContractMethod> = (
  ...args: HandlerArguments<M["args"], M["rest"]>
) => HandlerResult<M["result"]>;

/**
 * The arguments of a function that implements a method.
 *
 * @ignore
 */
export type HandlerArguments<
  Args extends readonly ArgumentSpec[],
  Rest extends StandardSchema | undefined,
> = [
  ...{ -readonly [I in keyof Args]: HandlerArgument<Args[I]> },
  ...(Rest extends StandardSchema ? OutputOf<Rest>[] : []),
];

/**
 * An argument of a function that implements a method.
 *
 * @ignore
 */
export type HandlerArgument<Spec> = Spec extends StreamOf<infer S>
  ? ReadableStream<HandlerArgument<S>>
  : Spec extends Optional<infer S> ? HandlerArgument<S> | undefined
  : Spec extends ObjectOf<infer Members> ? OptionalMembers<
      { -readonly [K in keyof Members]: HandlerArgument<Members[K]> }
    >
  : Spec extends ContractMethod ? ContractCallback<Spec>
  : Spec extends StandardSchema ? OutputOf<Spec>
  : never;

/**
 * A function of the caller, as the function that implements a method gets it: its
 * results are validated. It has the lifetime of a `Callback`.
 */
export type ContractCallback<M extends ContractMethod> =
  & ((
    ...args: SentArguments<M["args"], M["rest"]>
  ) => CallbackResult<M["result"]>)
  & CallbackLife;

/**
 * The arguments of a call of a callback.
 *
 * @ignore
 */
export type SentArguments<
  Args extends readonly ArgumentSpec[],
  Rest extends StandardSchema | undefined,
> = [
  ...OptionalTail<{ -readonly [I in keyof Args]: HandlerValue<Args[I]> }>,
  ...(Rest extends StandardSchema ? InputOf<Rest>[] : []),
];

/**
 * What a call of a callback returns.
 *
 * @ignore
 */
export type CallbackResult<Result extends ResultSpec> = Result extends undefined
  ? Promise<void>
  : Result extends StreamOf<infer S> ? RemoteStream<NullFor<HandlerArgument<S>>>
  : Result extends Bytes ? Promise<RemoteBytes>
  : Promise<NullFor<HandlerArgument<Result>>>;

/**
 * An object whose members can be left out if they can be `undefined`.
 *
 * @ignore
 */
export type OptionalMembers<T> =
  & { [K in keyof T as undefined extends T[K] ? never : K]: T[K] }
  & { [K in keyof T as undefined extends T[K] ? K : never]?: T[K] };

/**
 * What a function that implements a method returns.
 *
 * @ignore
 */
export type HandlerResult<Result extends ResultSpec> = Result extends undefined
  ? void
  : Result extends Bytes ? Answer<ByteStream>
  : Answer<HandlerValue<Result>>;

/**
 * A value that the side sends which implements a contract.
 *
 * @ignore
 */
export type HandlerValue<Spec> = Spec extends StreamOf<infer S>
  ? AsyncIterable<HandlerValue<S>> | ReadableStream<HandlerValue<S>>
  : Spec extends Optional<infer S> ? HandlerValue<S> | undefined
  : Spec extends ObjectOf<infer Members> ? OptionalMembers<
      { -readonly [K in keyof Members]: HandlerValue<Members[K]> }
    >
  : Spec extends ContractMethod ? MethodFunction<Spec>
  : Spec extends StandardSchema ? InputOf<Spec>
  : never;

/**
 * An answer, or a promise of it.
 *
 * @ignore
 */
export type Answer<T> = T | CallError | PromiseLike<T | CallError>;

/**
 * The service that a contract describes, as its callers see it: for
 * `peer.remote<ServiceOf<typeof api>>()`.
 */
export type ServiceOf<C extends Contract> = ServiceMethods<C["methods"]>;

/**
 * The methods of a service.
 *
 * @ignore
 */
export type ServiceMethods<Methods extends ContractMethods> = {
  readonly [K in keyof Methods]: Methods[K] extends ContractMethod
    ? ServiceMethod<Methods[K]>
    : Methods[K] extends ContractMethods ? ServiceMethods<Methods[K]>
    : never;
};

/**
 * A method of a service.
 *
 * @ignore
 */
export type ServiceMethod<M extends ContractMethod> = (
  ...args: CallerArguments<M["args"], M["rest"]>
) => CallerResult<M["result"]>;

/**
 * The arguments of a call.
 *
 * @ignore
 */
export type CallerArguments<
  Args extends readonly ArgumentSpec[],
  Rest extends StandardSchema | undefined,
> = [
  ...OptionalTail<{ -readonly [I in keyof Args]: CallerArgument<Args[I]> }>,
  ...(Rest extends StandardSchema ? InputOf<Rest>[] : []),
];

/**
 * An argument of a call. What can be `undefined` can also be `null`, which it is on
 * the wire.
 *
 * @ignore
 */
export type CallerArgument<Spec> = Spec extends StreamOf<infer S>
  ? AsyncIterable<CallerArgument<S>>
  : Spec extends Optional<infer S> ? CallerArgument<S> | null | undefined
  : Spec extends ObjectOf<infer Members> ? OptionalMembers<
      { -readonly [K in keyof Members]: CallerArgument<Members[K]> }
    >
  : Spec extends ContractMethod ? Callback<CallerFunction<Spec>>
  : Spec extends StandardSchema
    ? undefined extends InputOf<Spec> ? InputOf<Spec> | null : InputOf<Spec>
  : never;

/**
 * A function that the caller passes.
 *
 * @ignore
 */
export type CallerFunction<M extends ContractMethod> = (
  ...args: CallerFunctionArguments<M["args"], M["rest"]>
) => CallerFunctionResult<M["result"]>;

/**
 * What a function of the caller gets.
 *
 * @ignore
 */
export type CallerFunctionArguments<
  Args extends readonly ArgumentSpec[],
  Rest extends StandardSchema | undefined,
> = [
  ...{ -readonly [I in keyof Args]: CallerValue<Args[I]> },
  ...(Rest extends StandardSchema ? OutputOf<Rest>[] : []),
];

/**
 * What a function of the caller returns.
 *
 * @ignore
 */
export type CallerFunctionResult<Result extends ResultSpec> = Result extends
  undefined ? void : Result extends Bytes ? ByteStream
: CallerArgument<Result>;

/**
 * A tuple, whose last elements can be left out if they can be `undefined`.
 *
 * @ignore
 */
export type OptionalTail<T extends readonly unknown[]> = T extends
  [...infer Head, infer Last]
  ? undefined extends Last ? [...OptionalTail<Head>, Last?] : T
  : T;

/**
 * What a method of a service returns.
 *
 * @ignore
 */
export type CallerResult<Result extends ResultSpec> = Result extends undefined
  ? void
  : Result extends Bytes ? ByteStream
  : CallerValue<Result>;

/**
 * A value that the caller receives, before the codec has its part in it.
 *
 * @ignore
 */
export type CallerValue<Spec> = Spec extends StreamOf<infer S>
  ? AsyncIterable<CallerValue<S>>
  : Spec extends Optional<infer S> ? CallerValue<S> | undefined
  : Spec extends ObjectOf<infer Members> ? OptionalMembers<
      { -readonly [K in keyof Members]: CallerValue<Members[K]> }
    >
  : Spec extends ContractMethod ? Callback<ServiceMethod<Spec>>
  : Spec extends StandardSchema ? OutputOf<Spec>
  : never;

/** What {@linkcode clientOf} returns. */
export type ContractClient<
  Methods extends ContractMethods,
  C extends Carried = Carried,
> = {
  readonly [K in keyof Methods]: Methods[K] extends ContractMethod
    ? RemoteMethod<ServiceMethod<Methods[K]>, C>
    : Methods[K] extends ContractMethods ? ContractClient<Methods[K], C>
    : never;
};

/**
 * What {@linkcode clientOf} returns with `validate`: results are what their schemas
 * make of them.
 */
export type ValidatingClient<
  Methods extends ContractMethods,
  C extends Carried = Carried,
> = {
  readonly [K in keyof Methods]: Methods[K] extends ContractMethod
    ? ValidatedMethod<Methods[K], C>
    : Methods[K] extends ContractMethods ? ValidatingClient<Methods[K], C>
    : never;
};

/**
 * A method whose arguments and results are validated.
 *
 * @ignore
 */
export type ValidatedMethod<M extends ContractMethod, C extends Carried> =
  AcceptsResult<M["result"], C> extends true ? (
      ...args: SentEach<CallerArguments<M["args"], M["rest"]>, C>
    ) => ValidatedResult<M["result"]>
    : Uncallable<
      "Cannot validate the result of this method: its schema does not accept what arrives; leave out validate, or use a codec that carries the result"
    >;

/**
 * Whether the schema of a result accepts what arrives: the schema was applied once
 * before, by the side that sent it.
 *
 * @ignore
 */
export type AcceptsResult<Result extends ResultSpec, C extends Carried> =
  Result extends StreamOf<infer S>
    ? S extends StandardSchema
      ? AcceptsValue<StreamedValue<OutputOf<S>, C>, InputOf<S>>
    : true
    : Result extends StandardSchema
      ? AcceptsValue<Reply<OutputOf<Result>, C>, InputOf<Result>>
    : true;

/**
 * Whether a value that arrives is accepted. `null` stands for `undefined`, too.
 *
 * @ignore
 */
export type AcceptsValue<Arrives, Input> = [Arrives] extends
  [undefined extends Input ? Input | null : Input] ? true : false;

/**
 * What a call returns whose result is validated.
 *
 * @ignore
 */
export type ValidatedResult<Result extends ResultSpec> = Result extends
  undefined ? Promise<void>
  : Result extends StreamOf<infer S>
    ? S extends StandardSchema ? RemoteStream<NullFor<OutputOf<S>>>
    : RemoteStream<StreamedValue<CallerValue<S>, Carried>>
  : Result extends Bytes ? Promise<RemoteBytes>
  : Result extends StandardSchema ? Promise<NullFor<OutputOf<Result>>>
  : Promise<Reply<CallerValue<Result>>>;

/**
 * A type, with `null` in place of `undefined`.
 *
 * @ignore
 */
export type NullFor<T> = T extends undefined ? null : T;

/**
 * An error that a method declares: its code, and the text and the details that
 * belong to it.
 */
export type DeclaredError<M extends ContractMethod> = {
  [Code in keyof M["errors"] & string]: {
    /** The code of the error. */
    readonly code: Code;
    /** The text of the error. */
    readonly text: string;
    /** What the schema makes of its details. */
    readonly details: OutputOf<M["errors"][Code]>;
  };
}[keyof M["errors"] & string];
