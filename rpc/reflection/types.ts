/**
 * What reflection says, as values that JSON can carry. Nothing in this module exists
 * at run time.
 *
 * @module
 */

/** A JSON Schema. */
export type DescribedSchema = Readonly<Record<string, unknown>>;

/** A service: the answer of `/_qtalk/describe`. */
export interface ServiceDescription {
  /** The name of the service, if it has one. */
  name?: string;
  /** Its version. */
  version?: string;
  /** What the service is for. */
  doc?: string;
  /** What can be called. */
  methods: DescribedMethod[];
}

/** A method, as far as it is known. */
export interface DescribedMethod {
  /** What to call: `math.add`. With `prefix`, what the selectors begin with. */
  selector: string;
  /** Whether a handler answers all selectors that begin with `selector`. */
  prefix?: true;
  /** Whether it answers with a value, with a stream of values, or with bytes. */
  kind?: "unary" | "stream" | "bytes";
  /** What it does. */
  doc?: string;
  /**
   * How many parameters its function declares, not counting those with a default
   * value. Functions do not say which of them can be left out. Methods of contracts
   * have `args` instead.
   */
  params?: number;
  /** Its arguments. */
  args?: DescribedArgument[];
  /** Each further argument, if there can be others than `args`. */
  rest?: DescribedValue;
  /** The result, or each value that it streams. */
  result?: DescribedValue;
  /** The metadata of a call. */
  meta?: DescribedValue;
  /** The details of the errors that it declares, by their codes. */
  errors?: Record<string, DescribedValue>;
}

/** The description of a value. */
export interface DescribedValue {
  /** Its JSON Schema. */
  schema?: DescribedSchema;
  /** The description of the function, if the value is one. */
  callback?: DescribedCallback;
  /**
   * The description of its values, if it is a stream in an object or in another
   * stream.
   */
  values?: DescribedValue;
  /** Its members by their names, if some are functions or streams. */
  members?: Record<string, DescribedMember>;
}

/** A function in an argument or in a result. */
export type DescribedCallback = Omit<
  DescribedMethod,
  "selector" | "prefix" | "params"
>;

/** The description of a member of an object. */
export interface DescribedMember extends DescribedValue {
  /** Whether it can be left out. */
  optional?: true;
}

/** The description of an argument. */
export interface DescribedArgument extends DescribedValue {
  /** Whether it can be left out. */
  optional?: true;
  /** Whether it is a stream, and the schema that of each value. */
  stream?: true;
}

/** Whether a service works: the answer of `/_qtalk/health`. */
export interface ServiceHealth {
  /** Whether it can do its work. */
  status: "serving" | "not-serving";
  /** What its own check has returned. */
  details?: unknown;
  /** Why it cannot: the text of what its own check has thrown. */
  reason?: string;
}

/** Figures of a service since it was made: the answer of `/_qtalk/stats`. */
export interface ServiceStats {
  /** The time in milliseconds since counting began. */
  uptime: number;
  /** Open sessions whose peers have called it. */
  sessions: number;
  /** Bytes that have passed over these sessions and over those that have ended. */
  bytes: {
    /** Bytes that came from them. */
    received: number;
    /** Bytes that were sent to them. */
    sent: number;
  };
  /** All calls, of every method. */
  calls: CallFigures;
  /** The methods that were called, at most `maxMethods`, those called most first. */
  methods: MethodStats[];
  /** Calls of further methods, and of selectors without a handler. */
  others: CallFigures;
}

/** Figures of calls. */
export interface CallFigures {
  /** Calls whose handlers run. */
  inFlight: number;
  /** Calls whose handlers have finished. */
  ended: number;
  /**
   * How many ended in which way: `ok`; `cancelled`, if the caller left before the
   * answer; the code of an error; or `error`, for one without a code.
   */
  outcomes: Record<string, number>;
  /** The time from the beginning of a call to its first answer. */
  latency: LatencyFigures;
}

/** Figures of the calls of one method. */
export interface MethodStats extends CallFigures {
  /** What was called, in canonical form: `/math/add`. */
  selector: string;
}

/** Latencies in milliseconds, within 5 % of the measured values. */
export interface LatencyFigures {
  /** Half of the calls took at most this time. */
  p50: number;
  /** Nine of ten calls took at most this time. */
  p90: number;
  /** All but one of a hundred calls took at most this time. */
  p99: number;
  /** The longest. */
  max: number;
}
