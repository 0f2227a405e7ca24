import { memoryPool } from "@qtalk/qtalk";

const MIB = 1024 * 1024;

/** What both ends need beyond the defaults: everything in great numbers. */
export const LIMITS = {
  maxValueSize: 128 * MIB,
  maxSessions: 12_000,
  session: {
    maxChannels: 110_000,
    maxHeldSize: 1024 * MIB,
    memoryPool: memoryPool({ size: 16 * 1024 * MIB, maxSessions: 12_000 }),
  },
};

/** The same for sessions without calls: 100,000 windows have room. */
export const SESSION_LIMITS = {
  ...LIMITS,
  session: { ...LIMITS.session, initialWindowSize: 4 * 1024 },
};
