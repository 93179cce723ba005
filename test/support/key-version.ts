import type { Key, KeyVersion } from '../../src/domain/key.ts';
import { DEFAULT_SETTINGS, type VersionRecord } from '../../src/domain/key-record.ts';

/** A version as the token could report it; its id is made of its number unless it is given. */
export function keyVersion(wanted: Partial<KeyVersion> = {}): KeyVersion {
  const { version = 1 } = wanted;
  return {
    key: 'webhooks',
    id: version.toString(16).padStart(32, '0'),
    version,
    algorithm: 'HMAC_SHA256',
    state: 'ACTIVE',
    createTimeMs: Date.UTC(2026, 0, 1),
    attributes: {
      sensitive: true,
      extractable: false,
      alwaysSensitive: true,
      neverExtractable: true,
      local: true,
    },
    ...wanted,
  };
}

/** A record of such a version, of a destruction that is scheduled unless it is told otherwise. */
export function versionRecord(wanted: Partial<VersionRecord> = {}): VersionRecord {
  const { key, id, version, algorithm, createTimeMs } = keyVersion({
    version: wanted.version ?? 1,
  });
  return {
    ...{ kind: 'version', key, id, version, algorithm, createTimeMs },
    ...{ state: 'DESTROY_SCHEDULED', destroyTimeMs: Date.UTC(2026, 1, 1), deactivated: false },
    ...wanted,
  };
}

/** @param versions newest first */
export function keyOf(...versions: readonly KeyVersion[]): Key {
  return { name: versions[0]?.key ?? 'webhooks', versions, settings: DEFAULT_SETTINGS };
}
