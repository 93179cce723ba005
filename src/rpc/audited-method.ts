import type { AuditEffect } from '../domain/audit-event.ts';
import type { KeyServiceHandlers } from '../generated/sigild/v1/KeyService.ts';
import type { SigningServiceHandlers } from '../generated/sigild/v1/SigningService.ts';

/** A method of the API. One without an effect does not compile. */
export type RpcMethod = NamesOf<KeyServiceHandlers> | NamesOf<SigningServiceHandlers>;

/** The names of a type that allows any other, too. */
type NamesOf<Handlers> = keyof {
  [Name in keyof Handlers as string extends Name ? never : Name]: true;
} &
  string;

/** What each method does. GetImportKey makes a key pair in the token. */
export const EFFECTS = {
  Sign: 'use',
  Verify: 'use',
  BatchSign: 'use',
  BatchVerify: 'use',
  Pipeline: 'use',
  SignStream: 'use',
  VerifyStream: 'use',
  CreateKey: 'change',
  GetKey: 'read',
  ListKeys: 'read',
  RotateKey: 'change',
  UpdateKey: 'change',
  UpdateKeyVersion: 'change',
  ScheduleDestroy: 'change',
  Restore: 'change',
  GetImportKey: 'change',
  ImportKey: 'change',
  GetPublicKey: 'read',
  ListPublicKeys: 'read',
  GetTokenInfo: 'read',
} as const satisfies Record<RpcMethod, AuditEffect>;
