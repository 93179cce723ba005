import { type ErrorReason, SigildError } from '../domain/errors.ts';
import { isDestroyed, type Key } from '../domain/key.ts';
import type { SettingsRecord } from '../domain/key-record.ts';
import { decodeVersionId } from '../domain/version-id.ts';
import { type RecordStore, stamped } from './change-record.ts';
import type { NewKey } from './token-values.ts';

export interface KeyCreation {
  readonly store: RecordStore;
  /** Must see what every other process has made. */
  readonly find: () => Promise<Key | undefined>;
  readonly make: () => Promise<Key>;
}

/** After these the key is certainly not made later. */
const REFUSALS: readonly ErrorReason[] = [
  'ALGORITHM_UNSUPPORTED',
  'KEY_ALREADY_EXISTS',
  'TOKEN_FULL',
  'TOKEN_REFUSED',
];

/**
 * Makes a key whose settings are on the token before it is, so that it never stands there without
 * them. Until it is made they count for nothing: see {@link SettingsRecord}.
 *
 * What earlier creations of that name have left behind is removed.
 *
 * @throws {SigildError} as Token.createKey
 */
export async function createWithSettings(wanted: NewKey, creation: KeyCreation): Promise<Key> {
  const { store, find, make } = creation;
  const record = settingsRecord(wanted);
  const copy = record && isFree(await find()) ? stamped(record) : undefined;
  if (copy) await store.create(copy);
  const key = await make().catch(async (error: unknown) => {
    const isRefused = error instanceof SigildError && REFUSALS.includes(error.reason);
    if (copy && isRefused) await store.remove([copy.stamp]);
    throw error;
  });
  if (!key.leftovers) return key;
  return (await withoutOthers(key, creation).catch(ignoreFailure)) ?? key;
}

/** Whether a name is nobody's, or that of a key whose versions are all DESTROYED. */
function isFree(key: Key | undefined): boolean {
  return key === undefined || isDestroyed(key);
}

function settingsRecord({ name, id, settings }: NewKey): SettingsRecord | undefined {
  if (!settings) return undefined;
  const version = decodeVersionId(id)?.version ?? 1;
  return { kind: 'settings', key: name, id: Buffer.from(id).toString('hex'), version, settings };
}

/** Removes the settings that were meant for a creation that came to nothing. */
async function withoutOthers(key: Key, { store, find }: KeyCreation): Promise<Key | undefined> {
  const others = (await store.find()).filter(({ record }) => {
    const claims = key.versions.filter(({ version }) => version === record.version);
    return (
      record.kind === 'settings' && claims.length > 0 && claims.every(({ id }) => id !== record.id)
    );
  });
  if (others.length === 0) return key;
  await store.remove(others.map(({ stamp }) => stamp));
  return await find();
}

/** The key is made; what is left over counts for nothing and can be removed another time. */
function ignoreFailure(error: unknown): undefined {
  if (!(error instanceof SigildError)) throw error;
}
