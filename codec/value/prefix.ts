/**
 * Bytes of the length in front of each value: a big-endian uint32 (rpc/SPEC.md,
 * "Values").
 */
export const PREFIX_SIZE = 4;
