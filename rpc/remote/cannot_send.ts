/**
 * Stands where a value cannot be sent, so that the compiler's message says why.
 *
 * @ignore
 */
export type CannotSend<What extends string, Instead extends string> =
  `Cannot send ${What} with this codec: ${Instead}`;

/**
 * A function whose calls do not compile, with a message.
 *
 * @ignore
 */
export type Uncallable<Message extends string> = (
  this: Message,
  ...args: unknown[]
) => never;

/** @ignore */
export type NoBigInt = CannotSend<
  "a bigint",
  "use cbor(), or json({ bigint: true }) and declare number | bigint"
>;

/** @ignore */
export type NoCollection<Name extends string> = CannotSend<
  `a ${Name}`,
  "use cbor(), or send an array of what is in it"
>;

/** @ignore */
export type NoMethod = Uncallable<
  CannotSend<
    "a method of an object",
    "only data arrives; declare that a function returns a promise"
  >
>;

/** @ignore */
export type NoMethodOfClass = Uncallable<
  CannotSend<
    "a method of a class or an interface with data",
    "only data arrives; if it is a function of an object literal, declare the type of the object with type"
  >
>;
