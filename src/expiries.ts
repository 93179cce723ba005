import type { ClientConfig } from './config/config.ts';
import { type Expiring, ExpiryWatch } from './lifecycle/expiry-watch.ts';
import type { Log } from './lifecycle/log.ts';
import type { FileExpiry } from './rpc/tls-credentials.ts';

/** What of the daemon's files and of its clients' grants ends some day, as they are by now. */
export interface ExpiringParts {
  readonly files: () => readonly FileExpiry[];
  readonly clients: () => readonly ClientConfig[];
}

interface Told extends Expiring {
  readonly level: 'warn' | 'error';
  readonly what: string;
  /** What it means that it has expired. */
  readonly consequence: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

const DAY_MS = 24 * 60 * 60 * 1_000;

const FILE_NOTICE_MS = 30 * DAY_MS;
const GRANT_NOTICE_MS = 7 * DAY_MS;

const FILES = {
  server: { what: 'the certificate of a listener', consequence: 'clients refuse it' },
  client_ca: { what: 'an authority', consequence: 'whom it vouches for is refused' },
  client_crl: {
    what: 'a revocation list',
    consequence: 'all clients of its authority are refused',
  },
} as const satisfies Record<FileExpiry['role'], Pick<Told, 'what' | 'consequence'>>;

/** Warns in the log of certificates, revocation lists and grants that are going to expire. */
export function expiryWatch(
  { files, clients }: ExpiringParts,
  log: Pick<Log, 'warn' | 'error'>,
): ExpiryWatch<Told> {
  return new ExpiryWatch({
    list: () => [...files().map(toldOfFile), ...clients().flatMap(toldOfGrants)],
    tell: ({ level, what, consequence, fields, expiresAtMs }, isOver) => {
      const record = { ...fields, expires: new Date(expiresAtMs).toISOString() };
      if (isOver) log[level](record, `${what} has expired: ${consequence}`);
      else log.warn(record, `${what} is going to expire`);
    },
  });
}

function toldOfFile({ file, role, expiresAtMs }: FileExpiry): Told {
  return {
    ...{ ...FILES[role], expiresAtMs, level: 'error' },
    noticeMs: FILE_NOTICE_MS,
    fields: { file, role },
  };
}

function toldOfGrants({ name, grants }: ClientConfig): Told[] {
  return grants.flatMap(({ keys, operations, expiresAtMs }): Told[] => {
    if (expiresAtMs === undefined) return [];
    return [
      {
        ...{
          what: 'a grant',
          consequence: 'it gives nothing any more',
          expiresAtMs,
          level: 'warn',
        },
        noticeMs: GRANT_NOTICE_MS,
        fields: { client: name, keys, operations },
      },
    ];
  });
}
