import { fieldInvalid } from '../domain/errors.ts';
import { parseKeyName } from '../domain/key.ts';
import type { PeerName } from '../service/peer-keys.ts';
import type { FormedRequest } from '../service/signing-service.ts';

interface FormFields extends PeerFields {
  readonly digest?: Buffer;
  readonly signatureFormat?: unknown;
}

interface PeerFields {
  readonly peerPublicKey?: Buffer;
  readonly peerKey?: string;
}

/**
 * How a SignRequest or VerifyRequest gives its message and its signature is written, and with whom its
 * key is agreed upon.
 *
 * @throws {SigildError} FIELD_INVALID
 */
export function decodeForm(fields: FormFields): FormedRequest {
  const peerName = decodePeer(fields);
  return { ...decodeFormat(fields), ...(peerName && { peerName }) };
}

/** A value that the proto does not know arrives as a number. */
function decodeFormat({ digest, signatureFormat }: FormFields): FormedRequest {
  const digests = digest === undefined ? {} : { digests: true };
  switch (signatureFormat) {
    case undefined:
    case 'SIGNATURE_FORMAT_UNSPECIFIED':
      return digests;
    case 'DER':
    case 'RAW':
      return { ...digests, format: signatureFormat };
    default:
      throw fieldInvalid('signature_format', 'must be DER or RAW, or absent');
  }
}

function decodePeer({ peerPublicKey, peerKey }: PeerFields): PeerName | undefined {
  if (peerKey === undefined) return peerPublicKey && { publicKey: peerPublicKey };
  if (peerPublicKey === undefined) return { key: parseKeyName(peerKey, 'peer_key') };
  throw fieldInvalid('peer_key', 'give peer_public_key or peer_key, not both');
}
