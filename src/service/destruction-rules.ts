import { SigildError } from '../domain/errors.ts';
import type { Key, KeyVersion } from '../domain/key.ts';
import { isDestroyed } from './destruction-record.ts';

/** @throws {SigildError} KEY_STATE_FORBIDS where the key or the token is against it */
export function assertDestroyable({ name, settings }: Key, version: KeyVersion): void {
  if (!settings.destroyable) {
    throw new SigildError(
      'KEY_STATE_FORBIDS',
      `key ${name} was created as one that is never destroyed; a version of it can be suspended`,
    );
  }
  if (version.isDestroyable !== false) return;
  throw new SigildError(
    'KEY_STATE_FORBIDS',
    `the token does not let version ${version.version} of key ${name} be destroyed; it can be ` +
      'suspended',
  );
}

/** @throws {SigildError} KEY_STATE_FORBIDS where there is no destruction to take back */
export function assertScheduled(version: KeyVersion): void {
  if (version.state === 'DESTROY_SCHEDULED') return;
  if (version.state === 'DESTROYED') throw isDestroyed(version);
  throw new SigildError(
    'KEY_STATE_FORBIDS',
    `version ${version.version} of key ${version.key} is ${version.state}: its destruction is not ` +
      'scheduled',
  );
}
