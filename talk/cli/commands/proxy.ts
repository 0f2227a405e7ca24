import { resolveAddress } from "../../address.ts";
import { listenWith } from "../../listener/listen.ts";
import { defineCommand } from "../command.ts";
import { changingFiles } from "../options/changing_files.ts";
import { LISTEN_AND_DIAL_OPTIONS } from "../options/connection_options.ts";
import { bothSecurities } from "../options/connection_security.ts";
import { EXIT, UsageError } from "../exit_code.ts";
import { ProxiedSession } from "../proxied_session.ts";
import {
  dialResume,
  LISTEN_RESUME_OPTION,
  listenResume,
} from "../options/resume_option.ts";
import {
  announceAddress,
  DRAIN_OPTION,
  drainTimeoutFrom,
  noteConnection,
  runUntilStopped,
  VERBOSE_OPTION,
} from "../serve_until_stopped.ts";

/** `qtalk proxy`. */
export const proxy = defineCommand({
  name: "proxy",
  summary: "Forwards connections to one address to another address",
  usage: ["proxy LISTEN DIAL"],
  about:
    `Each connection to LISTEN gets its own connection to DIAL. Channels pass unread
in both directions, so the codec does not matter. The two addresses may have
different schemes, stdio: included. At SIGINT or SIGTERM it accepts no more
connections, and open ones have the time given by --drain to end.

  qtalk proxy ws://127.0.0.1:8080/ unix:/run/math.sock
  ssh host qtalk proxy stdio: tcp://127.0.0.1:9999`,
  options: {
    resume: LISTEN_RESUME_OPTION,
    "dial-resume": {
      type: "boolean",
      about: "go on after a lost connection (DIAL: with --resume)",
    },
    drain: DRAIN_OPTION,
    verbose: VERBOSE_OPTION,
    ...LISTEN_AND_DIAL_OPTIONS,
  },
  async run({ words, options, terminal }) {
    const [from, to, ...others] = words;
    if (from === undefined || to === undefined || others.length > 0) {
      throw new UsageError(
        `Cannot proxy: expected two addresses, got ${words.length}`,
      );
    }
    const drainTimeout = drainTimeoutFrom(options.drain);
    // Checked now, and not when the first session is accepted.
    await resolveAddress(to);
    const { listening, dialing } = await bothSecurities(
      from,
      to,
      options,
      terminal,
    );
    const near = {
      ...changingFiles(listening),
      ...listenResume(from, options.resume),
    };
    const given = options["dial-resume"];
    const far = {
      ...dialing,
      ...dialResume(to, given, terminal, "dial-resume"),
    };
    let broken = false;
    const listener = await listenWith(
      from,
      near,
      (session) =>
        new ProxiedSession(session, to, far, (error) => {
          broken = true;
          terminal.error(error);
        }),
      {
        admit({ closed }, { remoteAddr }) {
          if (options.verbose) noteConnection(terminal, remoteAddr, closed);
          return true;
        },
      },
    );
    await runUntilStopped(
      listener,
      terminal,
      drainTimeout,
      () => announceAddress(terminal, listener.addr, to),
    );
    return broken && listener.addr === "stdio:" ? EXIT.connection : EXIT.ok;
  },
});
