/**
 * What `qtalk serve --parallel` and its workers say to each other.
 *
 * @module
 */
import type { ServiceHealth } from "../../../rpc/internal_cli.ts";
import type { ListenSecurity } from "../options/connection_security.ts";

/** What a worker is to serve. */
export interface ServePlan {
  /** The module of the service. */
  readonly file: string;
  /** Where to listen. */
  readonly address: string;
  /** The names of codecs that calls may be in. */
  readonly codecs: readonly string[];
  /** Whether peers may ask for the description and the health of the service. */
  readonly reflection: boolean;
  /** Whether every connection is printed. */
  readonly verbose: boolean;
  /** The options of TLS. */
  readonly security: ListenSecurity;
  /** The flags of the command, which errors name. */
  readonly flags: readonly string[];
}

/** What a worker may ask of the program that has started it. */
export interface CoordinatorService {
  /** The health of the service in all workers. */
  health(): Promise<ServiceHealth>;
}

/** Why a worker does not serve. */
export interface StartFailure {
  /** The text of the error. */
  readonly error: string;
  /** The exit code for it. */
  readonly exitCode: number;
}

/** Where a worker listens, or why it does not. */
export type StartResult = { readonly address: string } | StartFailure;

/** What the worker can be asked for. */
export interface WorkerService {
  /** Loads the service and listens. */
  start(plan: ServePlan): Promise<StartResult>;
  /** The health of the service in this worker. */
  health(): Promise<ServiceHealth>;
  /** Closes the listener, once calls have ended or the time has passed. */
  close(drainTimeout: number): Promise<void>;
  /** Resolves when the listener has closed. */
  closed(): Promise<void>;
}

/**
 * What a worker posts when the service ends the process. It is not a call, because
 * nothing is sent once the worker has ended, and `Deno.exit()` does not return.
 */
export interface ExitMessage {
  /** The exit code. */
  readonly exit: number;
}

/** Whether a message is an {@linkcode ExitMessage}. */
export function isExitMessage(message: unknown): message is ExitMessage {
  return typeof message === "object" && message !== null && "exit" in message;
}
