/**
 * The published bounds that the rows are compared with.
 *
 * @module
 */

const MIB = 1024 * 1024;

/** What one session may make this side hold. */
export const SESSION_BUDGET = 32 * MIB;
/** What the sessions of a process may make it hold together. */
export const PROCESS_BUDGET = 256 * MIB;
/** What decoding one value may take. */
export const VALUE_COST = 32 * MIB;
/**
 * What a process may grow by besides: uncollected garbage, compiled code and
 * socket buffers.
 */
export const RUNTIME_SLACK = 64 * MIB;

/** Peak of a process that a session attacks with what is small. */
export const SMALL = SESSION_BUDGET + RUNTIME_SLACK;
/**
 * The same of a gateway whose backend is in its process: a call through it makes
 * three sessions hold something, that of the client and both ends of the one to
 * the backend, and each of them has its budget.
 */
export const GATEWAY = 3 * SESSION_BUDGET + RUNTIME_SLACK;
/**
 * The same with a session in qtalk-go's dialect over QUIC, whose unread streams hold as
 * much again.
 */
export const PLAIN_STREAMS = SMALL + SESSION_BUDGET;
/** Peak of a process that a session attacks with values of any size and shape. */
export const WITH_VALUES = SMALL + VALUE_COST;
/** The same with any number of sessions. */
export const MANY_SESSIONS = PROCESS_BUDGET + VALUE_COST + RUNTIME_SLACK;

/** Bytes that may still be alive when the attacker has left. */
export const LEFTOVER = 8 * MIB;

/** The 99th percentile of a healthy client's calls, in milliseconds. */
export const HEALTHY_P99 = 50;
/** The same as a multiple of the control run's. */
export const HEALTHY_P99_OF_CONTROL = 2;
/** The slowest call of a healthy client, in milliseconds. */
export const HEALTHY_MAX = 250;

/** The heap of the server, as of one with 512 MiB, in MiB. */
export const SERVER_HEAP_MIB = 448;
/** Bytes at which the server is killed to protect the machine. */
export const SAFETY_STOP = 3 * 1024 * MIB;
/** Milliseconds that a server may stall before it is given up. */
export const STALL_LIMIT = 25_000;
