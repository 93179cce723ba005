import { randomUUID } from 'node:crypto';
import { SigildError } from '../domain/errors.ts';
import type { AuditLog } from './ports.ts';

/** What the daemon changes by itself. */
export interface OwnChange {
  /** As the method of the API that does the same, where there is one. */
  readonly operation: string;
  readonly key: string;
  readonly version?: number | undefined;
}

/** Who changes it, for the audit log; it has no peer, as every client has. */
const ITSELF = 'sigild';

const US_PER_MS = 1_000;

/**
 * Changes something as nobody's request, and has the audit log tell of it, before and after.
 *
 * @param audit undefined: none is kept
 * @throws {SigildError} AUDIT_UNAVAILABLE; what the change throws
 */
export async function changeOwn<Result>(
  audit: AuditLog | undefined,
  change: OwnChange,
  make: () => Promise<Result>,
): Promise<Result> {
  if (!audit) return await make();
  const startedAtMs = performance.now();
  const operation = { ...change, request: randomUUID(), client: ITSELF };
  await audit.begin(operation);
  const end = (outcome: string) => {
    const latencyUs = Math.round((performance.now() - startedAtMs) * US_PER_MS);
    return audit.end({ ...operation, outcome, latencyUs }, 'change');
  };
  const result = await make().catch(async (error: unknown) => {
    await end(error instanceof SigildError ? error.reason : 'INTERNAL');
    throw error;
  });
  await end('OK');
  return result;
}
