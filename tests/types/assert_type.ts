/**
 * Statements about types: a file that makes a false one does not compile.
 *
 * @module
 */

/** Whether two types are the same, `any` being the same as `any` only. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends
  (<T>() => T extends B ? 1 : 2) ? true
  : false;

/** Whether a type is `any`. */
export type IsAny<T> = 0 extends 1 & T ? true : false;

/** Whether a value of `From` may stand where a `To` is wanted. */
export type Assignable<From, To> = [From] extends [To] ? true : false;

/** Compiles for `true` only: `assertType<Equal<A, B>>()`. */
export function assertType<_Statement extends true>(): void {}

/** Compiles for `false` only. */
export function assertNotType<_Statement extends false>(): void {}
