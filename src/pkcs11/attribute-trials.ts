import { randomBytes } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import type { AttributeSupport } from '../domain/token-info.ts';
import { VERSION_ID_BYTES } from '../domain/version-id.ts';
import {
  AttributeReader,
  type Handle,
  nativeTemplate,
  type Template,
  ulongArray,
} from './attributes.ts';
import { brokenResult, CryptokiError, ck, isLoss } from './ck-rv.ts';
import { macKeyTemplate } from './key-template.ts';
import { type MacKey, signMac, verifyMac } from './mac.ts';
import { MECHANISMS } from './mechanisms.ts';
import type { Session } from './session.ts';

/** Does work on an open session, and on another one when the work before has cost a session. */
export type OnSession = <Result>(work: (session: Session) => Result) => Result;

/** Something that a token does with a key where an attribute has one value, and not with another. */
interface Trial {
  readonly attribute: Extract<keyof typeof pkcs11js, `CKA_${string}`>;
  readonly allowing: boolean | Buffer;
  readonly forbidding: boolean | Buffer;
  /** What else the key needs for this. */
  readonly besides?: Template;
  readonly deed: (session: Session, key: Handle) => unknown;
}

const ALGORITHM = 'HMAC_SHA256';
const { type: MECHANISM } = MECHANISMS[ALGORITHM];
const OTHER_MECHANISM = MECHANISMS.HMAC_SHA512.type;
const DATA = Buffer.from('sigild tries an attribute');

/** Longer than the key when it is wrapped. */
const WRAPPED_BYTES = 256;

const TRIALS: readonly Trial[] = [
  { attribute: 'CKA_SIGN', allowing: true, forbidding: false, deed: sign },
  { attribute: 'CKA_VERIFY', allowing: true, forbidding: false, deed: verify },
  {
    attribute: 'CKA_ALLOWED_MECHANISMS',
    allowing: ulongArray([MECHANISM]),
    forbidding: ulongArray([OTHER_MECHANISM]),
    deed: sign,
  },
  {
    attribute: 'CKA_SENSITIVE',
    allowing: false,
    forbidding: true,
    // A key that is not extractable shows its value in no case.
    besides: new Map([[pkcs11js.CKA_EXTRACTABLE, true]]),
    deed: readValue,
  },
  { attribute: 'CKA_EXTRACTABLE', allowing: true, forbidding: false, deed: wrap },
  { attribute: 'CKA_COPYABLE', allowing: true, forbidding: false, deed: copy },
  { attribute: 'CKA_DESTROYABLE', allowing: true, forbidding: false, deed: destroy },
];

/**
 * Finds out which attributes the token enforces: makes two keys for each, which differ in it alone,
 * and does with both what it forbids the one.
 *
 * The keys are session objects, which go with the session; the caller closes it. A token that makes
 * token objects instead gets one of them, which is destroyed, and is not tried any further.
 *
 * @throws {CryptokiError} when the token or the login is lost
 */
export function tryAttributes(onSession: OnSession): AttributeSupport[] {
  return TRIALS.map((trial) => ({ attribute: trial.attribute, ...outcomeOf(trial, onSession) }));
}

type Outcome = Pick<AttributeSupport, 'enforced' | 'found'>;

function outcomeOf(trial: Trial, onSession: OnSession): Outcome {
  const control = attempt(trial, trial.allowing, onSession);
  if (control) return untried(control);
  const failure = attempt(trial, trial.forbidding, onSession);
  if (!failure) return { enforced: false, found: 'the token does what it forbids' };
  const refused = failure.made && failure.error.verdict.next !== 'check-canary';
  return refused ? { enforced: true, found: failure.error.message } : untried(failure);
}

function untried({ made, error }: Failure): Outcome {
  return !made && error.rv === pkcs11js.CKR_ATTRIBUTE_TYPE_INVALID
    ? { enforced: false, found: `the token does not know it: ${error.message}` }
    : { enforced: undefined, found: `it cannot be tried: ${error.message}` };
}

/** Why the token did not do it, and whether it had made the key by then. */
interface Failure {
  readonly made: boolean;
  readonly error: CryptokiError;
}

/** @returns undefined when the token has done it @throws {CryptokiError} */
function attempt(trial: Trial, value: boolean | Buffer, onSession: OnSession): Failure | undefined {
  let made = false;
  try {
    onSession((session) => {
      const key = makeKey(session, trial, value);
      made = true;
      trial.deed(session, key);
    });
    return undefined;
  } catch (error) {
    if (!(error instanceof CryptokiError) || isLoss(error)) throw error;
    return { made, error };
  }
}

function makeKey(session: Session, { attribute, besides }: Trial, value: boolean | Buffer): Handle {
  const id = randomBytes(VERSION_ID_BYTES);
  const template = macKeyTemplate({ label: 'sigild:trial', id, algorithm: ALGORITHM });
  template.delete(pkcs11js.CKA_ALLOWED_MECHANISMS);
  for (const [type, other] of besides ?? []) template.set(type, other);
  template.set(pkcs11js[attribute], value);
  return generate(session, pkcs11js.CKM_GENERIC_SECRET_KEY_GEN, template);
}

function generate(session: Session, mechanism: number, template: Template): Handle {
  const { lib, handle } = session;
  template.set(pkcs11js.CKA_TOKEN, false);
  const key = ck('C_GenerateKey', () =>
    lib.C_GenerateKey(handle, { mechanism }, nativeTemplate(template)),
  );
  const found = new AttributeReader().read(session, key, [pkcs11js.CKA_TOKEN]);
  if (found.flag(pkcs11js.CKA_TOKEN) === false) return key;
  destroy(session, key);
  throw brokenResult('C_GenerateKey', 'a token object instead of a session object');
}

function macKey(handle: Handle): MacKey {
  return { handle, mechanism: { mechanism: MECHANISM }, macBytes: 32 };
}

function sign(session: Session, key: Handle): Buffer {
  return signMac(session, macKey(key), DATA);
}

function verify(session: Session, key: Handle): boolean {
  return verifyMac(session, macKey(key), DATA, sign(session, key));
}

function readValue({ lib, handle }: Session, key: Handle): unknown {
  return ck('C_GetAttributeValue', () =>
    lib.C_GetAttributeValue(handle, key, [{ type: pkcs11js.CKA_VALUE }]),
  );
}

function wrap(session: Session, key: Handle): unknown {
  const { lib, handle } = session;
  const wrapping = generate(
    session,
    pkcs11js.CKM_AES_KEY_GEN,
    new Map<number, number | boolean>([
      [pkcs11js.CKA_CLASS, pkcs11js.CKO_SECRET_KEY],
      [pkcs11js.CKA_KEY_TYPE, pkcs11js.CKK_AES],
      [pkcs11js.CKA_VALUE_LEN, 32],
      [pkcs11js.CKA_WRAP, true],
    ]),
  );
  const mechanism = { mechanism: pkcs11js.CKM_AES_KEY_WRAP };
  const wrapped = Buffer.alloc(WRAPPED_BYTES);
  return ck('C_WrapKey', () => lib.C_WrapKey(handle, mechanism, wrapping, key, wrapped));
}

function copy({ lib, handle }: Session, key: Handle): unknown {
  const template = [{ type: pkcs11js.CKA_TOKEN, value: false }];
  return ck('C_CopyObject', () => lib.C_CopyObject(handle, key, template));
}

function destroy({ lib, handle }: Session, key: Handle): void {
  ck('C_DestroyObject', () => lib.C_DestroyObject(handle, key));
}
