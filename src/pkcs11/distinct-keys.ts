import { versionName } from '../domain/key.ts';
import { maySign } from '../domain/key-state.ts';
import { FINGERPRINT_TEXT } from '../service/reserved-text.ts';
import type { KeyObject } from './key-objects.ts';
import { isSamePublicKey } from './key-pairs.ts';
import { signMac } from './mac.ts';
import { macKeyOf } from './mechanisms.ts';
import type { Session } from './session.ts';

const FINGERPRINT_DATA = Buffer.from(FINGERPRINT_TEXT);

/**
 * Leaves out an object of the same name, id and key as one before it. SoftHSM 2.6 lists an object
 * twice, with two handles, when several threads of a process have looked for it at the same time.
 */
export function distinctKeys(session: Session, objects: readonly KeyObject[]): KeyObject[] {
  const byName = new Map<string, KeyObject[]>();
  for (const object of objects) {
    const name = versionName(object.version);
    const known = byName.get(name) ?? [];
    if (!known.some((other) => isSameKey(session, other, object))) known.push(object);
    byName.set(name, known);
  }
  return [...byName.values()].flat();
}

/**
 * Keys that make one MAC of the reserved text are one key. Of keys that may not sign none is known;
 * there an id of ours has to do, which no two keys have that sigild has made.
 */
function isSameKey(session: Session, one: KeyObject, other: KeyObject): boolean {
  if (one.publicHalf && other.publicHalf) {
    return isSamePublicKey(one.publicHalf.key, other.publicHalf.key);
  }
  if (one.publicHalf || other.publicHalf) return false;
  if (!maySign(one.version.state) || !maySign(other.version.state)) {
    return one.version.createTimeMs !== undefined && one.version.state === other.version.state;
  }
  const [mac, otherMac] = [one, other].map((object) =>
    signMac(session, macKeyOf(object.handle, object.version.algorithm), FINGERPRINT_DATA),
  );
  return mac !== undefined && otherMac !== undefined && mac.equals(otherMac);
}
