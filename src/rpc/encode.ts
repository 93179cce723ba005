import { secondsAndNanos } from '../domain/duration.ts';
import { type Key, type KeyVersion, primaryOf, type TokenAttributes } from '../domain/key.ts';
import type { KeyState } from '../domain/key-state.ts';
import { nextRotationMs } from '../domain/rotation.ts';
import type { TokenInfo } from '../domain/token-info.ts';
import type { BatchSignResponse } from '../generated/sigild/v1/BatchSignResponse.ts';
import type { BatchVerifyResponse } from '../generated/sigild/v1/BatchVerifyResponse.ts';
import type { Key as WireKey } from '../generated/sigild/v1/Key.ts';
import type { KeyVersion as WireKeyVersion } from '../generated/sigild/v1/KeyVersion.ts';
import type { ListKeysResponse } from '../generated/sigild/v1/ListKeysResponse.ts';
import type { ListPublicKeysResponse } from '../generated/sigild/v1/ListPublicKeysResponse.ts';
import type { PublicKey as WirePublicKey } from '../generated/sigild/v1/PublicKey.ts';
import type { SignResponse } from '../generated/sigild/v1/SignResponse.ts';
import type { TokenAttributes as WireTokenAttributes } from '../generated/sigild/v1/TokenAttributes.ts';
import type { TokenInfo as WireTokenInfo } from '../generated/sigild/v1/TokenInfo.ts';
import type { VerifyResponse } from '../generated/sigild/v1/VerifyResponse.ts';
import type { Page } from '../service/key-service.ts';
import type { PublicKey } from '../service/public-key.ts';
import type { Signatures } from '../service/signing-service.ts';
import { encodePageToken } from './decode-keys.ts';

const NONE = new Uint8Array();

/** @param signatures of one message */
export function encodeSignature({ signatures, version }: Signatures): SignResponse {
  const [signature = NONE] = signatures;
  return {
    signature,
    version: version.version,
    versionId: version.id,
    algorithm: version.algorithm,
  };
}

export function encodeSignatures({ signatures, version }: Signatures): BatchSignResponse {
  return { signatures: [...signatures], ...encodeSigner(version) };
}

function encodeSigner(version: KeyVersion) {
  return {
    version: version.version,
    versionId: version.id,
    algorithm: version.algorithm,
  };
}

/** @param version the one whose signature it is; undefined when it is no version's */
export function encodeVerification(version: KeyVersion | undefined): VerifyResponse {
  if (!version) return { valid: false };
  return { valid: true, version: version.version, versionId: version.id };
}

export function encodeVerifications(
  versions: readonly (KeyVersion | undefined)[],
): BatchVerifyResponse {
  return { versions: versions.map((version) => version?.version ?? 0) };
}

/** @param versions those to tell of; the key's other fields speak for all of its versions */
export function encodeKey(key: Key, versions: readonly KeyVersion[]): WireKey {
  const newest = key.versions[0];
  const { rotationPeriodMs, destroyable } = key.settings;
  const rotationMs = nextRotationMs(key);
  return {
    name: key.name,
    ...(newest && { algorithm: newest.algorithm }),
    primaryVersion: primaryOf(key)?.version ?? 0,
    versions: versions.map(encodeVersion),
    ...(rotationPeriodMs !== undefined && { rotationPeriod: secondsAndNanos(rotationPeriodMs) }),
    ...(rotationMs !== undefined && { nextRotationTime: secondsAndNanos(rotationMs) }),
    destroyable,
  };
}

export function encodePage({ keys, nextAfter }: Page): ListKeysResponse {
  return {
    keys: keys.map((key) => encodeKey(key, key.versions)),
    nextPageToken: nextAfter === undefined ? '' : encodePageToken(nextAfter),
  };
}

export function encodePublicKey({ version, der, pem, jwk }: PublicKey): WirePublicKey {
  const { key, version: number, id, algorithm } = version;
  return {
    ...{ key, version: number, versionId: id, algorithm },
    ...{ pem, der, jwk: JSON.stringify(jwk) },
  };
}

export function encodePublicKeys(publicKeys: readonly PublicKey[]): ListPublicKeysResponse {
  return {
    publicKeys: publicKeys.map(encodePublicKey),
    jwks: JSON.stringify({ keys: publicKeys.map(({ jwk }) => jwk) }),
  };
}

export function encodeTokenInfo({
  algorithms,
  attributes,
  hosts,
  records: { kept, found },
  ...token
}: TokenInfo): WireTokenInfo {
  return {
    ...token,
    algorithms: algorithms.map(({ algorithm, lacks }) => ({
      algorithm,
      supported: lacks === undefined,
      missingMechanism: lacks ?? '',
    })),
    attributes: attributes.map(({ attribute, enforced, found }) => ({
      attribute,
      ...(enforced !== undefined && { enforced }),
      found,
    })),
    records: { ...(kept !== undefined && { kept }), found },
    hosts: hosts.map(({ sessions, warmth }) => ({
      sessions,
      warmKeys: warmth.warm,
      warmKeysReason: warmth.why,
    })),
  };
}

function encodeVersion(version: KeyVersion): WireKeyVersion {
  const { id, version: number, state, algorithm, createTimeMs, attributes } = version;
  const destroyTimeMs = hasDestroyTime(state) ? version.destruction?.destroyTimeMs : undefined;
  return {
    id,
    version: number,
    state,
    algorithm,
    ...(createTimeMs !== undefined && { createTime: secondsAndNanos(createTimeMs) }),
    attributes: reported(attributes),
    ...(destroyTimeMs !== undefined && { destroyTime: secondsAndNanos(destroyTimeMs) }),
    ...(attributes.local !== undefined && { origin: attributes.local ? 'GENERATED' : 'IMPORTED' }),
  };
}

function hasDestroyTime(state: KeyState): boolean {
  return state === 'DESTROY_SCHEDULED' || state === 'DESTROYED';
}

/** The attributes that the token reports; the others stay absent. */
function reported(attributes: TokenAttributes): WireTokenAttributes {
  const names = Object.keys(attributes) as (keyof TokenAttributes & keyof WireTokenAttributes)[];
  const wire: WireTokenAttributes = {};
  for (const name of names) {
    const value = attributes[name];
    if (value !== undefined) wire[name] = value;
  }
  return wire;
}
