import { setTimeout as sleep } from 'node:timers/promises';
import { SigildError } from '../domain/errors.ts';
import type { Key, KeyVersion } from '../domain/key.ts';

/** A version that was just made, and how to look at its key and to take it back. */
export interface Creation {
  readonly name: string;
  readonly version: number;
  /** The new version's id, 32 hexadecimal digits. */
  readonly id: string;
  /** Must see what every other process has made. */
  readonly find: () => Promise<Key | undefined>;
  readonly destroy: () => Promise<void>;
}

/** How long the older of two versions waits for the younger one to give way. */
const RIVAL_WAIT_MS = 200;
const RIVAL_POLL_MS = 20;

const RETRY_MS = 100;

/**
 * Sees to it that of several objects which daemons made at the same time for one version of a key one
 * stays at the most: labels and ids are not unique on any token.
 *
 * Whoever sees an older one takes its own back at once. Whoever sees a younger one waits until it
 * has gone; when it stays it may be in use already, so the older one is taken back too.
 *
 * @returns the key as it stands on the token, this version claimed by the new object alone
 * @throws {SigildError} KEY_ALREADY_EXISTS when this one gave way, TOKEN_REFUSED when the token does
 *   not show it; what `find` and `destroy` throw
 */
export async function settleCreation(creation: Creation): Promise<Key> {
  const { id, find, destroy } = creation;
  for (let waitedMs = 0; ; waitedMs += RIVAL_POLL_MS) {
    const key = await find();
    const claims = claimsOf(key, creation);
    const rivals = claims.filter((version) => version.id !== id);
    if (key && claims.length > 0 && rivals.length === 0) return key;
    if (waitedMs >= RIVAL_WAIT_MS || rivals.some((rival) => rival.id < id)) {
      await destroy();
      throw takenBack(creation, rivals.length > 0);
    }
    await sleep(RIVAL_POLL_MS);
  }
}

/**
 * As {@link settleCreation}, for a caller who does not care whose version it is: where this one gave
 * way he gets the key with the one that stayed.
 *
 * @throws {SigildError} TOKEN_UNAVAILABLE when all gave way, which a repeated call mends
 */
export async function settleVersion(creation: Creation): Promise<Key> {
  try {
    return await settleCreation(creation);
  } catch (error) {
    const gaveWay = error instanceof SigildError && error.reason === 'KEY_ALREADY_EXISTS';
    if (!gaveWay) throw error;
    return await otherClaim(creation);
  }
}

/** Waits until one object alone claims the version. */
async function otherClaim(creation: Creation): Promise<Key> {
  for (let waitedMs = 0; waitedMs < 2 * RIVAL_WAIT_MS; waitedMs += RIVAL_POLL_MS) {
    const key = await creation.find();
    if (key && claimsOf(key, creation).length === 1) return key;
    await sleep(RIVAL_POLL_MS);
  }
  throw new SigildError(
    'TOKEN_UNAVAILABLE',
    `several daemons made version ${creation.version} of key ${creation.name} at the same time, ` +
      'and none of them stayed; try again',
    { retryAfterMs: RETRY_MS },
  );
}

function claimsOf(key: Key | undefined, { version }: Creation): readonly KeyVersion[] {
  return (key?.versions ?? []).filter((claim) => claim.version === version);
}

function takenBack({ name, version }: Creation, hasRivals: boolean): SigildError {
  return hasRivals
    ? new SigildError(
        'KEY_ALREADY_EXISTS',
        `version ${version} of key ${name} has just been made by another daemon`,
      )
    : new SigildError(
        'TOKEN_REFUSED',
        `version ${version} of key ${name} was made, but the token does not show it`,
      );
}
