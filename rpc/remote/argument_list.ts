/**
 * Whether a list has a parameter before others that may be left out, but takes no
 * `null`.
 *
 * @ignore
 */
export type OmitsInner<Args extends readonly unknown[]> = Args extends
  readonly [infer P, ...infer Rest] ? Rest extends readonly [] ? false
  : NoNull<P> extends true ? true
  : OmitsInner<Rest>
  : Args[number][] extends Args ? false
  : Args extends readonly [(infer P)?, ...infer Rest]
    ? Rest extends readonly [] ? false
    : null extends P ? OmitsInner<Rest>
    : true
  : false;

/** @ignore */
export type NoNull<P> = undefined extends P ? null extends P ? false : true
  : false;

/**
 * The lists of arguments in which nothing is left out before an argument that is
 * given.
 *
 * @ignore
 */
export type SentList<Args extends readonly unknown[]> = Args extends
  readonly [infer P, ...infer Rest] ? Rest extends readonly [] ? Args
  : NoNull<P> extends true ?
      | [Exclude<P, undefined>, ...SentList<Rest>]
      | (LeftOut<Rest> extends Rest ? [P, ...LeftOut<Rest>] : never)
  : [P, ...SentList<Rest>]
  : Args[number][] extends Args ? Args
  : Args extends readonly [(infer P)?, ...infer Rest]
    ? Rest extends readonly [] ? Args
    : null extends P ? [P?, ...SentList<Rest>]
    : [Exclude<P, undefined>, ...SentList<Rest>] | [P?, ...LeftOut<Rest>]
  : Args;

/** @ignore */
export type LeftOut<Args extends readonly unknown[]> = {
  [K in keyof Args]: undefined;
};
