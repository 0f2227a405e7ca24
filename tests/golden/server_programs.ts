/**
 * What our side does as the recorded server: mostly it serves.
 *
 * @module
 */
import type { Handler } from "@qtalk/qtalk";
import {
  callbackService,
  functionService,
  interopServer,
  stateService,
} from "./service_callbacks.ts";
import { callService, where } from "./service_calls.ts";
import { endingService, streamService } from "./service_streams.ts";
import type { Casting, Stage } from "./stage.ts";
import { plainName, type Recording } from "./recordings.ts";

/** What our side is, as the server of a recording. */
export function castServer(recording: Recording): Casting {
  const name = plainName(recording);
  return CASTS[name] ?? {
    program: name.startsWith("interop ") ? serveInterop : serve,
  };
}

/** The service of most recordings. */
export function serve(stage: Stage): void {
  register(stage, {
    ...callService(stage.clock),
    ...streamService(stage.clock),
    ...endingService(stage.clock, () => stage.session),
    ...callbackService(),
    ...stateService(stage),
    ...functionService(stage),
  });
}

function serveInterop(stage: Stage): void {
  register(stage, interopServer);
}

function register(stage: Stage, handlers: Record<string, Handler>): void {
  for (const [pattern, handler] of Object.entries(handlers)) {
    stage.peer.handle(pattern, handler);
  }
}

/** A server that has few handlers, and one for all the rest. */
function serveAll(stage: Stage): void {
  const { echo } = callService(stage.clock);
  register(stage, { echo: echo!, "": where() });
}

const CASTS: Record<string, Casting> = {
  "a catch-all": { program: serveAll },
  "a catch-all, an empty selector": { program: serveAll },
  "a catch-all, but an exact match": { program: serveAll },
  "a handler that returns twice": {
    program: serve,
    reports: ["RpcError invalid-state"],
  },
  "the wrong codec": {
    program: (stage) => {
      stage.peerIn(stage.recording.codec === "json" ? "cbor" : "json");
      serve(stage);
    },
    reports: ["RpcError codec-mismatch"],
  },
  "the server calls, unasked": {
    program: (stage) => stage.take(stage.peer.call("Upper", ["server"])),
  },
  "both call at once": {
    async program(stage) {
      serve(stage);
      await stage.take(stage.peer.call("echo", "from the server"));
    },
  },
  "the server ends the session before it confirms": {
    async program({ clock, session }) {
      await clock.sleep(50);
      await session.close();
    },
  },
  "a channel closed as soon as it is accepted": {
    program: ({ session }) => session.accept((channel) => channel.close()),
  },
  "a channel closed as soon as it is accepted, CLOSE first": {
    program: ({ session }) => session.accept((channel) => channel.close()),
  },
  "nobody accepts": {
    // Where the reference gives up after 30 s, a full backlog refuses at once.
    session: { backlog: 0 },
    async program(stage) {
      await stage.heard("open-failure");
      serve(stage);
    },
  },
};
