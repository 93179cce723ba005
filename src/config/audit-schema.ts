import * as z from 'zod';
import { absolutePath, integer, map, oneOf } from './fields.ts';

const KIB = 1_024;
const MIB = 1_024 * KIB;

/** Left out, there is no audit log. */
export const auditSchema = map({
  file: absolutePath,
  fsync: oneOf(['always', 'interval']).default('interval'),
  fsyncIntervalMs: integer(10, 60_000).default(1_000),
  sealIntervalMs: integer(100, 3_600_000).default(60_000),
  maxFileBytes: integer(64 * KIB, 65_536 * MIB).default(256 * MIB),
  maxFiles: integer(1, 100_000).optional(),
  signing: oneOf(['required', 'besteffort']).default('besteffort'),
  dataDigest: z.boolean('must be true or false').default(false),
}).optional();
