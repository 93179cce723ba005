import { setTimeout as sleep } from 'node:timers/promises';
import { SigildError } from '../domain/errors.ts';
import type { Key } from '../domain/key.ts';

/** A version that was just made, and how to look at its name and to take it back. */
export interface Creation {
  readonly name: string;
  /** The new version's id, 32 hexadecimal digits. */
  readonly id: string;
  /** Must see what every other process has made. */
  readonly find: () => Promise<Key | undefined>;
  readonly destroy: () => Promise<void>;
}

/** How long the older of two keys waits for the younger one to give way. */
const RIVAL_WAIT_MS = 200;
const RIVAL_POLL_MS = 20;

/**
 * Sees to it that of several keys which daemons made under one name at the same time one stays at the
 * most: labels are not unique on any token.
 *
 * Whoever sees an older key takes its own back at once. Whoever sees a younger one waits until it
 * has gone; when it stays it may be in use already, so the older one is taken back too.
 *
 * @returns the key as it stands on the token, the new version alone
 * @throws {SigildError} KEY_ALREADY_EXISTS when this one gave way, TOKEN_REFUSED when the token does
 *   not show it; what `find` and `destroy` throw
 */
export async function settleCreation(creation: Creation): Promise<Key> {
  const { name, id, find, destroy } = creation;
  for (let waitedMs = 0; ; waitedMs += RIVAL_POLL_MS) {
    const key = await find();
    const rivals = (key?.versions ?? []).filter((version) => version.id !== id);
    if (key && rivals.length === 0) return key;
    if (waitedMs >= RIVAL_WAIT_MS || rivals.some((rival) => rival.id < id)) {
      await destroy();
      throw takenBack(name, rivals.length > 0);
    }
    await sleep(RIVAL_POLL_MS);
  }
}

function takenBack(name: string, hasRivals: boolean): SigildError {
  return hasRivals
    ? new SigildError('KEY_ALREADY_EXISTS', `key ${name} has just been made by another daemon`)
    : new SigildError('TOKEN_REFUSED', `key ${name} was made, but the token does not show it`);
}
