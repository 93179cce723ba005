import { integer } from './invocation.ts';

/** The wire has 32 bits for a version. */
const MAX_VERSION_NUMBER = 0xffff_ffff;

/** Parses an option's argument. */
export const versionNumber = integer(1, MAX_VERSION_NUMBER);
