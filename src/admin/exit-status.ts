import { EXIT_CODES } from '../lifecycle/exit-codes.ts';

/** How sigilctl ends. Scripts branch on the codes. */
export const EXIT_STATUS = {
  done: { code: EXIT_CODES.OK, meaning: 'done' },
  failed: { code: EXIT_CODES.FAILURE, meaning: 'the daemon or the token refused or failed' },
  notValid: {
    code: 2,
    meaning: 'the signature is not valid, or the log not whole (verify and audit verify only)',
  },
  differs: { code: 3, meaning: 'the keys differ from the plan (provision --check only)' },
  usage: { code: EXIT_CODES.USAGE, meaning: 'the command line, or the input it names, is wrong' },
  unreachable: {
    code: EXIT_CODES.TOKEN_UNAVAILABLE,
    meaning: 'the daemon or the token cannot be reached; trying again may help',
  },
  wrongPin: {
    code: EXIT_CODES.WRONG_PIN,
    meaning: 'the token refused a PIN; trying again may lock the token',
  },
  configuration: {
    code: EXIT_CODES.CONFIGURATION,
    meaning: 'a PIN or secret file, certificate or PKCS#11 module cannot be used',
  },
} as const satisfies Record<string, { readonly code: number; readonly meaning: string }>;

/** The statuses of reasons that do not end as `failed`. */
const STATUS_OF_REASON: ReadonlyMap<string, keyof typeof EXIT_STATUS> = new Map([
  ['USAGE', 'usage'],
  ['DAEMON_UNREACHABLE', 'unreachable'],
  ['TOKEN_UNAVAILABLE', 'unreachable'],
  ['SHUTTING_DOWN', 'unreachable'],
  ['WRONG_PIN', 'wrongPin'],
  ['CONFIGURATION', 'configuration'],
]);

export function exitCodeOf(reason: string): number {
  return EXIT_STATUS[STATUS_OF_REASON.get(reason) ?? 'failed'].code;
}
