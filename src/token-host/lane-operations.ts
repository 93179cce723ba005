import type { VersionRef } from '../domain/key.ts';
import { AgreedMacs } from '../pkcs11/agreed-macs.ts';
import { KeyChanges } from '../pkcs11/key-changes.ts';
import type { TokenSession } from '../pkcs11/token-session.ts';
import { decodeSignAgreed, decodeVerifyAgreed } from './agreed-frames.ts';
import type { Frame } from './frames.ts';
import { decodeSign, decodeVerify, encodeAnswer, encodeIndexes } from './mac-frames.ts';
import {
  decodeJson,
  decodeNewKey,
  encodeJson,
  OPERATION,
  OUTCOME,
  publicKeysAnswer,
  type RecordRemoval,
  type StateChange,
} from './protocol.ts';

/** Does what a request frame asks for. @returns the answer's frame @throws {SigildError} */
export function perform(session: TokenSession, { code, payload }: Frame): Buffer {
  if (code === OPERATION.sign || code === OPERATION.signDigests) {
    const { ref, batch } = decodeSign(payload);
    const { result, fingerprints } = session.sign(ref, batch, code === OPERATION.signDigests);
    return encodeAnswer(Buffer.concat(result), fingerprints);
  }
  if (code === OPERATION.verify || code === OPERATION.verifyDigests) {
    const { refs, batch } = decodeVerify(payload);
    const { result, fingerprints } = session.verify(refs, batch, code === OPERATION.verifyDigests);
    return encodeAnswer(encodeIndexes(result), fingerprints);
  }
  if (code === OPERATION.signAgreed) {
    const { ref, peer, batch } = decodeSignAgreed(payload);
    const { result, fingerprints } = new AgreedMacs(session).sign(ref, peer, batch);
    return encodeAnswer(Buffer.concat(result), fingerprints);
  }
  if (code === OPERATION.verifyAgreed) {
    const { refs, peer, batch } = decodeVerifyAgreed(payload);
    const { result, fingerprints } = new AgreedMacs(session).verify(refs, peer, batch);
    return encodeAnswer(encodeIndexes(result), fingerprints);
  }
  const operate = RARE_OPERATIONS[code];
  if (!operate) throw new Error(`operation ${code} is unknown`);
  return encodeJson(OUTCOME.done, operate(session, payload));
}

/** Those whose answers travel as JSON, by code. */
const RARE_OPERATIONS: Readonly<
  Record<number, (session: TokenSession, payload: Buffer) => unknown>
> = {
  [OPERATION.findKey]: (session, payload) => session.findKey(decodeJson(payload)),
  [OPERATION.listKeys]: (session, payload) => session.listKeys(decodeJson(payload)),
  [OPERATION.createKey]: (session, payload) =>
    new KeyChanges(session).createKey(decodeNewKey(payload)),
  [OPERATION.createVersion]: (session, payload) =>
    new KeyChanges(session).createVersion(decodeNewKey(payload)),
  [OPERATION.destroyVersion]: (session, payload) =>
    new KeyChanges(session).destroyVersion(decodeJson(payload)),
  [OPERATION.setVersionState]: (session, payload) => {
    const { state, ...ref } = decodeJson<StateChange>(payload);
    new KeyChanges(session).setVersionState(ref, state);
  },
  [OPERATION.findRecords]: (session, payload) => session.find(decodeJson(payload)).records.copies,
  [OPERATION.createRecord]: (session, payload) =>
    new KeyChanges(session).createRecord(decodeJson(payload)),
  [OPERATION.removeRecords]: (session, payload) => {
    const { key, stamps } = decodeJson<RecordRemoval>(payload);
    new KeyChanges(session).removeRecords(key, stamps);
  },
  [OPERATION.forgetVersion]: (session, payload) =>
    session.forgetVersion(decodeJson<VersionRef>(payload)),
  [OPERATION.publicKeys]: (session, payload) =>
    publicKeysAnswer(session.publicKeys(decodeJson<VersionRef[]>(payload))),
  [OPERATION.probe]: (session) => session.probe(),
  [OPERATION.describe]: (session) => session.describe(),
};
