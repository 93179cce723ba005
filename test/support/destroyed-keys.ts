import type { Client } from '../../src/client/client.ts';
import type { SoftHsm } from './softhsm.ts';

/** Of a call that has to wait for the start of a token host on a machine that is busy with tests. */
export const PATIENT = { deadlineMs: 60_000 };

/** What a daemon's configuration says where versions are destroyed within a test. */
export const DESTROYING = {
  token: { hosts: 1 },
  keys: { refreshIntervalMs: 1_000, minDestroyDelayMs: 0 },
};

/** A key with one version that signs and an older one that is DEACTIVATED. */
export async function createKey(client: Client, name: string): Promise<void> {
  await client.keys.create(name, 'HMAC_SHA256', PATIENT);
  await client.keys.rotate(name, PATIENT);
}

/** How many objects of each kind stand on the token, those that sigild makes for itself left out. */
export function countObjects(softHsm: SoftHsm): { keys: number; records: number } {
  const listed = softHsm.pkcs11Tool('--list-objects');
  const count = (kind: RegExp) => listed.match(kind)?.length ?? 0;
  // SoftHSM 2.6 leaves an object without a label when it is killed while it generates a key.
  const keys = count(/^Secret Key Object.*\n +label: +(?!sigild:)\S/gm);
  return { keys, records: count(/^Data object/gm) };
}
