import {
  checkFunctions,
  checkObject,
  checkOption,
} from "../../check_option.ts";
import { isPermitted } from "../../decision.ts";
import { CallError } from "../errors.ts";
import {
  checkHandler,
  description,
  invoke,
  isServerCall,
  surround,
  surrounded,
} from "../handler/invoke.ts";
import type {
  Call,
  Handler,
  HandlerFunction,
  HandlerObject,
  Responder,
} from "../types.ts";
import { RESERVED_PREFIX } from "../wire/selector.ts";
import { CallCounter } from "./call_counter.ts";
import { describeHandler, isWithin } from "./description.ts";
import { HealthCheck } from "./health.ts";
import type {
  ServiceDescription,
  ServiceHealth,
  ServiceStats,
} from "./types.ts";

/** Options of {@linkcode withReflection}. */
export interface ReflectionOptions {
  /** The name of the service. Default: that of its contract, if it has one. */
  name?: string | undefined;
  /** Its version. Default: that of its contract, if it has one. */
  version?: string | undefined;
  /** What the service is for. Default: what its contract says. */
  doc?: string | undefined;
  /**
   * The service's own check, for `/_qtalk/health`. Its result is sent as `details`;
   * if it throws, the service is `not-serving`, and the text of the error is sent.
   * Only one check runs at a time; all callers in the meantime get its result.
   * Default: none, and the service is `serving`.
   */
  health?: (() => unknown) | undefined;
  /**
   * How long the check may take, in milliseconds; after that, the service is
   * `not-serving`. A number of at least 0; above 2^31 - 1 there is no limit.
   * Default: 5,000.
   */
  healthTimeout?: number | undefined;
  /**
   * Whether calls are counted, for `/_qtalk/stats`. Default: yes.
   */
  stats?: boolean | undefined;
  /**
   * How many methods have figures of their own; the others are counted together.
   * An integer of at least 0. Default: 256.
   */
  maxMethods?: number | undefined;
  /**
   * Called with every call that asks for the description, the health or the
   * figures, before it is answered. If it throws, the caller gets that error, and if
   * it returns `false`, `permission-denied`. It permits the call if it returns `true`
   * or, as a check that throws does, nothing; what else it returns is an error. Use
   * it if the handlers of the service check who is calling; checks in middleware
   * need not be repeated here. Default: none.
   */
  authorize?:
    | ((call: Call) => boolean | void | Promise<boolean | void>)
    | undefined;
}

/** The defaults of {@linkcode ReflectionOptions} that are numbers. */
export const DEFAULT_REFLECTION_OPTIONS: Readonly<
  { healthTimeout: number; maxMethods: number }
> = Object.freeze({ healthTimeout: 5_000, maxMethods: 256 });

/** A handler that can be asked about itself. */
export interface ReflectedService extends HandlerObject {
  /** What `/_qtalk/describe` answers. */
  describe(): ServiceDescription;
  /** Runs the check; never rejects. What `/_qtalk/health` answers. */
  health(): Promise<ServiceHealth>;
  /** What `/_qtalk/stats` answers; undefined with the option `stats: false`. */
  stats(): ServiceStats | undefined;
}

/**
 * Lets peers of this package ask a service about itself. It answers three
 * selectors, and passes all other calls to the handler:
 *
 * - `/_qtalk/describe`: a {@linkcode ServiceDescription}. With a selector as its
 *   argument, it describes only that method, or the methods in that group.
 * - `/_qtalk/health`: a {@linkcode ServiceHealth}.
 * - `/_qtalk/stats`: {@linkcode ServiceStats}.
 *
 * These calls pass through the middleware that other calls pass through: that of
 * the peer, and that of the routers and of `withMiddleware()` in the handler. Calls
 * from peers that do not use this package go to the handler, as without reflection.
 *
 * @example
 * ```ts
 * import { handlerFrom, memoryPair } from "@qtalk/qtalk";
 * import { withReflection } from "@qtalk/qtalk/reflection";
 * import { assertEquals } from "@std/assert";
 *
 * const handler = withReflection(
 *   handlerFrom({ add: (a: number, b: number) => a + b }),
 *   { name: "math", version: "1.2" },
 * );
 * const [client] = memoryPair({}, { handler });
 * await using _ = client;
 *
 * assertEquals(await client.call("/_qtalk/describe"), {
 *   name: "math",
 *   version: "1.2",
 *   methods: [{ selector: "add", params: 2 }],
 * });
 * assertEquals(await client.call("/_qtalk/health"), { status: "serving" });
 *
 * await client.call("add", [1, 2]);
 * assertEquals(handler.stats()?.calls.outcomes, { ok: 1 });
 * ```
 *
 * @param handler the service
 * @param options its name and version, its health check, and what is counted
 * @throws {TypeError} if `handler` is not a handler, or `health` or `authorize` is not
 * a function
 * @throws {RangeError} if an option is out of range
 */
export function withReflection<Context = unknown>(
  handler: Handler<Context>,
  options: ReflectionOptions = {},
): ReflectedService {
  return new Reflected(
    handler as Handler,
    options,
    () => performance.now(),
  );
}

/** As {@linkcode withReflection}, with another clock. */
export function withReflectionAt(
  handler: Handler,
  options: ReflectionOptions,
  now: () => number,
): ReflectedService {
  return new Reflected(handler, options, now);
}

class Reflected implements ReflectedService {
  readonly #handler: Handler;
  readonly #options: ReflectionOptions;
  readonly #health: HealthCheck;
  readonly #counter: CallCounter | undefined;
  readonly #answers: ReadonlyMap<string, HandlerFunction>;

  constructor(handler: Handler, options: ReflectionOptions, now: () => number) {
    checkHandler(handler, "reflect service");
    checkObject("options of withReflection()", options);
    checkFunctions(options, "health", "authorize");
    const {
      health = () => {},
      healthTimeout = DEFAULT_REFLECTION_OPTIONS.healthTimeout,
      stats = true,
      maxMethods = DEFAULT_REFLECTION_OPTIONS.maxMethods,
    } = options;
    const range = { min: 0, max: Infinity, fraction: true };
    checkOption("healthTimeout", healthTimeout, range);
    checkOption("maxMethods", maxMethods, { min: 0, max: Infinity });
    this.#handler = handler;
    this.#options = options;
    this.#health = new HealthCheck(health, healthTimeout);
    this.#counter = stats ? new CallCounter(maxMethods, now) : undefined;
    const answers = new Map<string, HandlerFunction>([
      ["describe", this.#answer((args) => this.#describe(args))],
      ["health", this.#answer(() => this.health())],
    ]);
    if (stats) answers.set("stats", this.#answer(() => this.stats()));
    this.#answers = answers;
  }

  respond(call: Call, respond: Responder): void | Promise<void> {
    const { selector } = call;
    if (selector.startsWith(RESERVED_PREFIX)) {
      const answer = this.#answers.get(selector.slice(RESERVED_PREFIX.length));
      if (answer !== undefined && isExtended(call)) {
        return invoke(
          surrounded(this.#handler, answer, selector),
          call,
          respond,
        );
      }
    }
    return this.#counter === undefined
      ? invoke(this.#handler, call, respond)
      : this.#counter.run(this.#handler, call, respond);
  }

  describe(): ServiceDescription {
    const { methods, ...about } = describeHandler(this.#handler);
    const { name = about.name, version = about.version, doc = about.doc } =
      this.#options;
    return {
      ...(name !== undefined && { name }),
      ...(version !== undefined && { version }),
      ...(doc !== undefined && { doc }),
      methods,
    };
  }

  health(): Promise<ServiceHealth> {
    return this.#health.run();
  }

  stats(): ServiceStats | undefined {
    return this.#counter?.stats;
  }

  [description](): ServiceDescription {
    return this.describe();
  }

  [surround](inner: Handler, selector: string): Handler {
    return surrounded(this.#handler, inner, selector);
  }

  #describe(args: unknown): ServiceDescription {
    const service = this.describe();
    const group: unknown = Array.isArray(args) ? args[0] : undefined;
    if (typeof group !== "string") return service;
    const methods = service.methods.filter((method) => isWithin(method, group));
    return { ...service, methods };
  }

  #answer(make: (args: unknown) => unknown): HandlerFunction {
    return async (call, respond) => {
      const decision = await this.#options.authorize?.(call);
      if (decision !== undefined && !isPermitted("authorize", decision)) {
        throw new CallError(`permission denied: ${call.selector}`, {
          code: "permission-denied",
        });
      }
      const args = await call.receive();
      await respond.return(await make(args));
    };
  }
}

/** Whether the caller is known to be of this package, or to know as much. */
function isExtended(call: Call): boolean {
  return isServerCall(call) && call.request.extended;
}
