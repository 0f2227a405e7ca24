/**
 * How a contract types both sides: nothing in this module exists at run time.
 *
 * @module
 */
import type { Carried } from "../../codec/internal.ts";
import type { CallError } from "../errors.ts";
import type {
  ByteStream,
  RemoteBytes,
  RemoteMethod,
  RemoteStream,
  Reply,
  SentEach,
  StreamedValue,
  Uncallable,
} from "../remote/types.ts";
import type {
  ArgumentSpec,
  Bytes,
  Contract,
  ContractMethod,
  ContractMethods,
  ResultSpec,
  StreamOf,
} from "./contract.ts";
import type { InputOf, OutputOf, StandardSchema } from "./standard_schema.ts";

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
  ? ReadableStream<OutputOf<S>>
  : Spec extends StandardSchema ? OutputOf<Spec>
  : never;

/**
 * What a function that implements a method returns.
 *
 * @ignore
 */
export type HandlerResult<Result extends ResultSpec> = Result extends undefined
  ? void
  : Result extends StreamOf<infer S>
    ? Answer<AsyncIterable<InputOf<S>> | ReadableStream<InputOf<S>>>
  : Result extends Bytes ? Answer<ByteStream>
  : Result extends StandardSchema ? Answer<InputOf<Result>>
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
  ? AsyncIterable<InputOf<S>>
  : Spec extends StandardSchema
    ? undefined extends InputOf<Spec> ? InputOf<Spec> | null : InputOf<Spec>
  : never;

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
  : Result extends StreamOf<infer S> ? AsyncIterable<OutputOf<S>>
  : Result extends Bytes ? ByteStream
  : Result extends StandardSchema ? OutputOf<Result>
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
    ? AcceptsValue<StreamedValue<OutputOf<S>, C>, InputOf<S>>
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
  : Result extends StreamOf<infer S> ? RemoteStream<NullFor<OutputOf<S>>>
  : Result extends Bytes ? Promise<RemoteBytes>
  : Result extends StandardSchema ? Promise<NullFor<OutputOf<Result>>>
  : never;

/**
 * A type, with `null` in place of `undefined`.
 *
 * @ignore
 */
export type NullFor<T> = T extends undefined ? null : T;

/** An error that a method declares: its code, and what is known by it. */
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
