/**
 * The server of the tests: the page with its scripts, an iframe of another
 * origin, and the peer that the page dials.
 *
 * @module
 */
import { type Handler, type Peer, Router } from "@qtalk/qtalk";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import { interopService } from "../interop/service.ts";
import { bundle } from "../support/bundle.ts";
import { within } from "../support/within.ts";

/** The scripts, by the paths that they are served at. */
export type Scripts = Map<string, string>;

const SCRIPTS = ["page", "frame", "worker"];

/** Bundles what runs in the browser. */
export async function bundleScripts(): Promise<Scripts> {
  const bundles = SCRIPTS.map(async (name): Promise<[string, string]> => {
    const source = new URL(`${name}.ts`, import.meta.url).pathname;
    return [`/${name}.js`, await bundleForBrowsers(source)];
  });
  return new Map(await Promise.all(bundles));
}

/** Bundles a module for browsers, into one file. */
export function bundleForBrowsers(
  path: string,
  ...flags: string[]
): Promise<string> {
  return bundle("--platform=browser", ...flags, path);
}

/** What the page may call. */
export function siteService(
  onEndless: (sent: Promise<void>, channelEnd: Promise<unknown>) => void,
): Handler {
  const router = new Router();
  router.handle("/", interopService());
  router.handle("endless", async (call, respond) => {
    await call.receive();
    const channel = await respond.continue();
    const begun = Promise.withResolvers<void>();
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(new Uint8Array(64 * 1024));
      },
    });
    const passing = endless.pipeThrough(
      new TransformStream({
        transform(chunk, controller) {
          begun.resolve();
          controller.enqueue(chunk);
        },
      }),
    );
    const end = passing.pipeTo(channel.writable).catch((error) => error);
    onEndless(begun.promise, end);
    await end;
  });
  return router;
}

/** A server for one page. */
export class Site implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #other: Deno.HttpServer<Deno.NetAddr>;
  readonly handle: ReturnType<typeof serveWebSocket>;
  readonly #peers: AsyncIterator<Peer>;
  readonly errors: unknown[] = [];

  constructor(scripts: Scripts, handler: Handler) {
    const quiet = { port: 0, hostname: "127.0.0.1", onListen() {} };
    this.#other = Deno.serve(quiet, (request) => answer(request, scripts));
    this.handle = serveWebSocket({
      path: "/rpc",
      handler,
      onError: (error) => this.errors.push(error),
      fallback: (request) =>
        answer(request, scripts, `http://127.0.0.1:${this.#other.addr.port}`),
    });
    this.#peers = this.handle.listener[Symbol.asyncIterator]();
    this.#server = Deno.serve(quiet, this.handle);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  /** The page, once it has dialed. */
  async page(): Promise<Peer> {
    const { value } = await within(this.#peers.next(), "the page to dial");
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.handle.listener.close();
    await Promise.all([this.#server.shutdown(), this.#other.shutdown()]);
  }
}

/** Answers with a page or a script; `frames` is the origin of the iframe. */
function answer(request: Request, scripts: Scripts, frames?: string): Response {
  const { pathname, origin } = new URL(request.url);
  const script = scripts.get(pathname);
  if (script !== undefined) {
    return new Response(script, {
      headers: { "content-type": "text/javascript" },
    });
  }
  if (pathname !== "/") return new Response("Not Found\n", { status: 404 });
  const html = frames === undefined
    ? `<script type="module" src="/frame.js"></script>`
    : `<iframe src="${frames}/?page=${origin}"></iframe>` +
      `<script type="module" src="/page.js"></script>`;
  return new Response(`<!doctype html><title>qtalk</title>${html}`, {
    headers: { "content-type": "text/html; charset=utf-8" },
  });
}
