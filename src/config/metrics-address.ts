import * as z from 'zod';
import type { MetricsAddress } from './config.ts';
import { unixPath } from './listener-schema.ts';
import { isLoopback, parseTcpAddress } from './tcp-address.ts';

const MODE = 0o660;

const PROBLEM =
  'must be a loopback address and a port, for instance 127.0.0.1:9464, or the absolute path of a ' +
  'unix socket';

/** Where metrics are told: not beyond this machine, for whoever connects reads them. */
export const metricsAddress = z
  .string(PROBLEM)
  .refine((text) => addressOf(text) !== undefined, PROBLEM)
  .transform((text) => addressOf(text));

function addressOf(text: string): MetricsAddress | undefined {
  const tcp = parseTcpAddress(text);
  if (tcp) return isLoopback(tcp) ? { kind: 'tcp', ...tcp } : undefined;
  if (!unixPath.safeParse(text).success) return undefined;
  return { kind: 'unix', path: text, mode: MODE, group: undefined };
}
