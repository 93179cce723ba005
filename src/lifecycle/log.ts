import {
  type DestinationStream,
  destination as fileDestination,
  type LevelWithSilent,
  type Logger,
  pino,
  stdTimeFunctions,
} from 'pino';
import { SigildError } from '../domain/errors.ts';

/** What {@link createLog} makes. */
export type Log = Logger;

const STDOUT = 1;

/** No part logs these on purpose; a record that holds one all the same loses it here. */
const SECRET_FIELDS = ['data', 'mac', 'pin', 'signature'];

/** Errors in a chain of causes; a chain that is longer, or leads back into itself, ends there. */
const MOST_CAUSES = 8;

interface ErrorRecord {
  readonly type: string;
  readonly message?: string;
  readonly reason?: string;
  readonly code?: string | number;
  readonly stack?: string | undefined;
  readonly cause?: ErrorRecord;
}

/**
 * A log of one JSON object a line, on standard output unless told otherwise. A line is written
 * before the call returns, so that the last ones survive a crash.
 *
 * Errors go in as `err`. What else an error holds than its message, code, reason, stack and causes
 * stays out.
 */
export function createLog(
  level: LevelWithSilent,
  destination: DestinationStream = fileDestination({ fd: STDOUT, sync: true }),
): Log {
  return pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
      serializers: { err: (error: unknown) => errorRecord(error, MOST_CAUSES) },
    },
    destination,
  );
}

function errorRecord(error: unknown, mostCauses: number): ErrorRecord {
  if (!(error instanceof Error)) return { type: typeof error };
  const code: unknown = 'code' in error ? error.code : undefined;
  return {
    type: error.name,
    message: error.message,
    ...(error instanceof SigildError && { reason: error.reason }),
    ...((typeof code === 'string' || typeof code === 'number') && { code }),
    stack: error.stack,
    ...(error.cause !== undefined &&
      mostCauses > 0 && { cause: errorRecord(error.cause, mostCauses - 1) }),
  };
}
