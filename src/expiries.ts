import type { ClientConfig } from './config/config.ts';
import { type Expiring, ExpiryWatch } from './lifecycle/expiry-watch.ts';
import type { Log } from './lifecycle/log.ts';
import type { FileExpiry } from './rpc/tls-credentials.ts';

const DAY_MS = 24 * 60 * 60 * 1_000;

const FILE_NOTICE_MS = 30 * DAY_MS;
const GRANT_NOTICE_MS = 7 * DAY_MS;

/** What of the daemon's files and of its clients' grants ends some day, as they are by now. */
export interface ExpiringParts {
  readonly files: () => readonly FileExpiry[];
  readonly clients: () => readonly ClientConfig[];
}

/** Warns in the log of certificates, revocation lists and grants that are going to expire. */
export function expiryWatch({ files, clients }: ExpiringParts, log: Log): ExpiryWatch {
  return new ExpiryWatch({
    list: () => [...files().map(fileExpiring), ...clients().flatMap(grantsExpiring)],
    tell: ({ subject, expiresAtMs }, isOver) => {
      const fields = { ...subject, expires: new Date(expiresAtMs).toISOString() };
      if (!isOver) log.warn(fields, 'it is going to expire');
      else if ('file' in subject) log.error(fields, 'it has expired: connections are refused');
      else log.warn(fields, 'it has expired: it grants nothing any more');
    },
  });
}

function fileExpiring({ file, role, expiresAtMs }: FileExpiry): Expiring {
  return { subject: { file, role }, expiresAtMs, noticeMs: FILE_NOTICE_MS };
}

function grantsExpiring({ name, grants }: ClientConfig): Expiring[] {
  return grants.flatMap(({ keys, operations, expiresAtMs }) =>
    expiresAtMs === undefined
      ? []
      : [{ subject: { client: name, keys, operations }, expiresAtMs, noticeMs: GRANT_NOTICE_MS }],
  );
}
