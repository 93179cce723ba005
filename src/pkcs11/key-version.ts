import { createHash } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import type { KeyVersion, TokenAttributes } from '../domain/key.ts';
import { decodeVersionId, VERSION_ID_BYTES } from '../domain/version-id.ts';
import type { Attributes } from './attributes.ts';

/** What {@link tokenAttributes} needs to have been read. */
export const TOKEN_ATTRIBUTE_TYPES = [
  pkcs11js.CKA_SENSITIVE,
  pkcs11js.CKA_EXTRACTABLE,
  pkcs11js.CKA_ALWAYS_SENSITIVE,
  pkcs11js.CKA_NEVER_EXTRACTABLE,
  pkcs11js.CKA_LOCAL,
];

/** Of a secret key or a private one. */
export function tokenAttributes(attributes: Attributes): TokenAttributes {
  return {
    sensitive: attributes.flag(pkcs11js.CKA_SENSITIVE),
    extractable: attributes.flag(pkcs11js.CKA_EXTRACTABLE),
    alwaysSensitive: attributes.flag(pkcs11js.CKA_ALWAYS_SENSITIVE),
    neverExtractable: attributes.flag(pkcs11js.CKA_NEVER_EXTRACTABLE),
    local: attributes.flag(pkcs11js.CKA_LOCAL),
  };
}

/** Which version of a key an object is, by its CKA_ID; one that is not ours counts as version 1. */
export function identity(
  name: string,
  ckaId: Buffer = Buffer.alloc(0),
): Pick<KeyVersion, 'id' | 'version' | 'createTimeMs'> {
  const ours = decodeVersionId(ckaId);
  if (ours) {
    return { id: ckaId.toString('hex'), version: ours.version, createTimeMs: ours.createTimeMs };
  }
  const id =
    ckaId.byteLength === VERSION_ID_BYTES
      ? ckaId
      : createHash('sha256')
          .update(JSON.stringify([name, ckaId.toString('hex')]))
          .digest()
          .subarray(0, VERSION_ID_BYTES);
  return { id: id.toString('hex'), version: 1, createTimeMs: undefined };
}
