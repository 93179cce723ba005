import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ListenerError } from './listener-error.ts';

/** getent's databases, and what an entry of each is. */
const KINDS = { passwd: 'user', group: 'group' } as const;

const LOOKUP_TIMEOUT_MS = 5_000;

/**
 * The number of a user or a group.
 *
 * @param account a name or the number itself
 * @throws {ListenerError} where nobody has the name
 */
export async function accountId(
  database: keyof typeof KINDS,
  account: string | number,
): Promise<number> {
  if (typeof account === 'number') return account;
  const kind = KINDS[database];
  try {
    // Asks what /etc/nsswitch.conf says: accounts need not be in files.
    const { stdout } = await promisify(execFile)('getent', [database, account], {
      timeout: LOOKUP_TIMEOUT_MS,
    });
    const id = Number(stdout.split(':')[2]);
    if (Number.isSafeInteger(id)) return id;
  } catch (error) {
    throw new ListenerError('configuration', `there is no ${kind} ${account}`, error);
  }
  throw new ListenerError('configuration', `getent gives no number for ${kind} ${account}`);
}
