import {
  type Handler,
  invoke,
  MiddlewareList,
  notFound,
  Router,
} from "../../rpc/internal.ts";

/** Handlers and middleware that apply to several connections. */
export class SharedHandlers {
  readonly #router = new Router();
  #middleware: MiddlewareList | undefined;
  /** Answers the calls of every connection. */
  readonly handler: Handler;

  /**
   * Makes a set without patterns.
   *
   * @param fallback answers the calls that match no pattern
   */
  constructor(fallback: Handler = notFound) {
    this.handler = (call, respond) => {
      const { selector } = call;
      const handler = this.#router.match(selector)?.handler ?? fallback;
      const around = this.#middleware?.around(handler, selector) ?? handler;
      return invoke(around, call, respond);
    };
  }

  /** As `Peer.handle()`. */
  handle(pattern: string, handler: Handler): Disposable {
    return this.#router.handle(pattern, handler);
  }

  /** As `Peer.use()`. */
  use(args: [unknown] | [unknown, unknown]): Disposable {
    return (this.#middleware ??= new MiddlewareList()).add(args);
  }
}
