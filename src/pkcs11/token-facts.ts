import { ALGORITHM_NAMES } from '../domain/algorithm.ts';
import type { TokenFacts } from '../domain/token-info.ts';
import { type OnSession, tryAttributes } from './attribute-trials.ts';
import { ck } from './ck-rv.ts';
import { missingMechanism } from './mechanisms.ts';
import { tryRecords } from './record-trial.ts';
import type { Slot } from './session.ts';

/**
 * What the token says of itself, and what it does when it is tried.
 *
 * @param onSession see {@link tryAttributes}
 * @throws {CryptokiError}
 */
export function readTokenFacts(slot: Slot, onSession: OnSession): TokenFacts {
  const info = ck('C_GetTokenInfo', () => slot.lib.C_GetTokenInfo(slot.handle));
  return {
    label: unpadded(info.label),
    serial: unpadded(info.serialNumber),
    manufacturer: unpadded(info.manufacturerID),
    model: unpadded(info.model),
    hardwareVersion: versionText(info.hardwareVersion),
    firmwareVersion: versionText(info.firmwareVersion),
    algorithms: ALGORITHM_NAMES.map((algorithm) => ({
      algorithm,
      lacks: missingMechanism(slot, algorithm),
    })),
    attributes: tryAttributes(onSession),
    records: tryRecords(onSession),
  };
}

export function versionText({ major, minor }: { readonly major: number; readonly minor: number }) {
  return `${major}.${minor}`;
}

/** Cryptoki fills texts up with blanks, some modules with zeros. */
function unpadded(text: string): string {
  return text.replace(/[ \0]+$/, '');
}
