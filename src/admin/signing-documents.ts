import type { SignResponse__Output } from '../generated/sigild/v1/SignResponse.ts';
import type { VerifyResponse__Output } from '../generated/sigild/v1/VerifyResponse.ts';
import { enumText } from './key-documents.ts';

/** `sign -o json` */
export interface SignatureDocument {
  readonly key: string;
  /** The version that signed. */
  readonly version: number;
  readonly versionId: string;
  readonly algorithm: string;
  /** Base64. */
  readonly signature: string;
}

/** `verify -o json` */
export interface VerificationDocument {
  readonly key: string;
  readonly valid: boolean;
  /** The version whose signature it is; absent when it is not valid. */
  readonly version: number | undefined;
  readonly versionId: string | undefined;
}

export function signatureDocument(key: string, response: SignResponse__Output): SignatureDocument {
  return {
    key,
    version: response.version ?? 0,
    versionId: response.versionId ?? '',
    algorithm: enumText(response.algorithm),
    signature: (response.signature ?? Buffer.alloc(0)).toString('base64'),
  };
}

export function verificationDocument(
  key: string,
  { valid = false, version, versionId }: VerifyResponse__Output,
): VerificationDocument {
  return {
    key,
    valid,
    version: valid ? version : undefined,
    versionId: valid ? versionId : undefined,
  };
}
