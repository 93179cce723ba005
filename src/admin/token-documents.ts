import type { AttributeSupport, RecordSupport } from '../domain/token-info.ts';
import type {
  TokenDetails,
  TokenMeasurements,
  TokenSummary,
  WarmKeysReport,
} from '../pkcs11/token-report.ts';
import { columns, fields, yesNo } from './layout.ts';

/** `token init -o json` */
export interface NewTokenDocument {
  readonly label: string;
  readonly serial: string;
  /** Absolute paths. */
  readonly module: string;
  /** Absent where the user PIN came from elsewhere. */
  readonly pinFile: string | undefined;
}

/** `token info -o json` of a token in a module. */
export type TokenInfoDocument = TokenDetails & TokenMeasurements;

const UNREPORTED = '-';

/** What the daemon's configuration needs comes last, ready to be pasted. */
export function newTokenText({ label, serial, module, pinFile }: NewTokenDocument): string {
  // A JSON string is a YAML string too.
  const pinLine =
    pinFile === undefined
      ? 'pinFile: # the absolute path of a file with the user PIN, mode 0600'
      : `pinFile: ${JSON.stringify(pinFile)}`;
  return [
    fields({ label, serial, module }),
    "For the daemon's configuration:",
    '',
    'token:',
    `  module: ${JSON.stringify(module)}`,
    `  label: ${JSON.stringify(label)}`,
    `  ${pinLine}`,
    '',
  ].join('\n');
}

/** Of `token list`, whose JSON document has the same tokens as they are. */
export function tokenListText(tokens: readonly TokenSummary[]): string {
  return columns(
    ['LABEL', 'SERIAL', 'MANUFACTURER', 'MODEL', 'INITIALIZED', 'USER PIN'],
    tokens.map((token) => [
      token.label || UNREPORTED,
      token.serial || UNREPORTED,
      token.manufacturer,
      token.model,
      yesNo(token.initialized),
      userPinText(token),
    ]),
  );
}

/** Of `token info`, whose JSON document is the same as it is. */
export function tokenDetailsText(token: TokenInfoDocument): string {
  const { sessions, memory, warmKeys } = token;
  const details = fields({
    label: token.label,
    serial: token.serial,
    manufacturer: token.manufacturer,
    model: token.model,
    'hardware version': token.hardwareVersion,
    'firmware version': token.firmwareVersion,
    initialized: yesNo(token.initialized),
    'user PIN': userPinText(token),
    'PIN length': `${token.minPinBytes} to ${token.maxPinBytes} bytes`,
    sessions: sessionsText(sessions.open, sessions.max),
    'read-write sessions': sessionsText(sessions.openReadWrite, sessions.maxReadWrite),
    'public memory': memoryText(memory.publicFreeBytes, memory.publicTotalBytes),
    'private memory': memoryText(memory.privateFreeBytes, memory.privateTotalBytes),
    'warm keys': warmKeysText(warmKeys),
    'keeps records': recordsText(token.records),
  });
  const tables = [details, algorithmsText(token)];
  if (token.attributes) tables.push(attributesText(token.attributes));
  return tables.join('\n');
}

export function attributesText(attributes: readonly AttributeSupport[]): string {
  return columns(
    ['ATTRIBUTE', 'ENFORCED', 'FOUND'],
    attributes.map(({ attribute, enforced, found }) => [
      attribute,
      enforced === undefined ? UNREPORTED : yesNo(enforced),
      found,
    ]),
  );
}

/** @param records undefined where it was not tried */
export function recordsText(records: RecordSupport | undefined): string {
  if (!records) return 'not tried';
  const { kept, found } = records;
  return `${kept === undefined ? 'not found out' : yesNo(kept)} (${found})`;
}

function algorithmsText({ algorithms }: TokenDetails): string {
  return columns(
    ['ALGORITHM', 'MECHANISM', 'SIGN', 'VERIFY', 'CREATE', 'KEY SIZE'],
    algorithms.map((support) => [
      support.algorithm,
      support.mechanism,
      yesNo(support.sign),
      yesNo(support.verify),
      yesNo(support.create),
      support.minKeySize === undefined
        ? UNREPORTED
        : `${support.minKeySize} to ${support.maxKeySize}`,
    ]),
  );
}

/** The gravest of what the flags say. */
function userPinText(token: TokenSummary): string {
  if (token.userPinLocked) return 'LOCKED';
  if (token.userPinFinalTry) return 'final try';
  if (token.userPinCountLow) return 'count low';
  return token.userPinSet ? 'set' : 'not set';
}

function warmKeysText({ inUse, why }: WarmKeysReport): string {
  if (inUse === undefined) return `not measured (${why})`;
  return `${inUse ? 'on' : 'off'} (${why})`;
}

function sessionsText(open: number | undefined, max: number | undefined): string {
  const limit = max === undefined ? 'no limit reported' : `at most ${max}`;
  return open === undefined ? limit : `${limit}, ${open} open`;
}

function memoryText(free: number | undefined, total: number | undefined): string {
  if (free === undefined && total === undefined) return 'not reported';
  return `${free ?? UNREPORTED} of ${total ?? UNREPORTED} bytes free`;
}
