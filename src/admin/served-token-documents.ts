import type { TokenInfo__Output } from '../generated/sigild/v1/TokenInfo.ts';
import { CommandFailure } from './command-failure.ts';
import { enumText } from './key-documents.ts';
import { columns, fields, yesNo } from './layout.ts';
import { attributesText, recordsText } from './token-documents.ts';

/** `token info -o json` of the token that a daemon uses. */
export interface ServedTokenDocument {
  readonly label: string;
  readonly serial: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly hardwareVersion: string;
  readonly firmwareVersion: string;
  readonly algorithms: readonly {
    readonly algorithm: string;
    readonly supported: boolean;
    /** Absent where the algorithm is supported. */
    readonly missingMechanism: string | undefined;
  }[];
  readonly attributes: readonly {
    readonly attribute: string;
    /** Absent where that could not be found out. */
    readonly enforced: boolean | undefined;
    readonly found: string;
  }[];
  readonly records: {
    /** Absent where that could not be found out. */
    readonly kept: boolean | undefined;
    readonly found: string;
  };
  readonly hosts: readonly {
    readonly sessions: number;
    readonly warmKeys: { readonly inUse: boolean; readonly why: string };
  }[];
}

const NOTHING = '-';

/** @throws {CommandFailure} INTERNAL for an answer without the token */
export function servedTokenDocument(token: TokenInfo__Output | undefined): ServedTokenDocument {
  if (!token) throw new CommandFailure('INTERNAL', 'the daemon answered without the token');
  return {
    label: token.label ?? '',
    serial: token.serial ?? '',
    manufacturer: token.manufacturer ?? '',
    model: token.model ?? '',
    hardwareVersion: token.hardwareVersion ?? '',
    firmwareVersion: token.firmwareVersion ?? '',
    algorithms: token.algorithms.map(({ algorithm, supported, missingMechanism }) => ({
      algorithm: enumText(algorithm),
      supported: supported ?? false,
      missingMechanism: missingMechanism || undefined,
    })),
    attributes: token.attributes.map(({ attribute, enforced, found }) => ({
      attribute: attribute ?? '',
      enforced,
      found: found ?? '',
    })),
    records: { kept: token.records?.kept, found: token.records?.found ?? '' },
    hosts: token.hosts.map(({ sessions, warmKeys, warmKeysReason }) => ({
      sessions: sessions ?? 0,
      warmKeys: { inUse: warmKeys ?? false, why: warmKeysReason ?? '' },
    })),
  };
}

export function servedTokenText(token: ServedTokenDocument): string {
  const details = fields({
    label: token.label,
    serial: token.serial,
    manufacturer: token.manufacturer,
    model: token.model,
    'hardware version': token.hardwareVersion,
    'firmware version': token.firmwareVersion,
    'keeps records': recordsText(token.records),
  });
  const algorithms = columns(
    ['ALGORITHM', 'SUPPORTED', 'MISSING'],
    token.algorithms.map(({ algorithm, supported, missingMechanism }) => [
      algorithm,
      yesNo(supported),
      missingMechanism ?? NOTHING,
    ]),
  );
  const hosts = columns(
    ['SESSIONS', 'WARM KEYS', 'WHY'],
    token.hosts.map(({ sessions, warmKeys }) => [
      String(sessions),
      warmKeys.inUse ? 'on' : 'off',
      warmKeys.why,
    ]),
  );
  return [details, algorithms, attributesText(token.attributes), hosts].join('\n');
}
