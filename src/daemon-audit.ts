import { type AuditTransition, FileAuditLog } from './audit/file-audit-log.ts';
import type { Config } from './config/config.ts';
import { packageVersion } from './config/version.ts';
import type { Log } from './lifecycle/log.ts';

/** @param config undefined: no audit log is kept @throws {StartFailure} */
export async function openAudit(
  config: Config['audit'],
  log: Log,
): Promise<FileAuditLog | undefined> {
  if (config) {
    return FileAuditLog.open({
      ...{ ...config, maxFiles: config.maxFiles, version: packageVersion() },
      onTransition: (transition) => logAudit(log, transition),
    });
  }
  log.warn('no audit log is kept: the configuration has no section audit');
  return undefined;
}

/** Tells what becomes of the audit log, and what to do. */
function logAudit(log: Log, transition: AuditTransition): void {
  switch (transition.event) {
    case 'failed':
      log.error(
        { err: transition.error },
        'the audit log cannot be written: what it must tell of is refused with AUDIT_UNAVAILABLE ' +
          'until it can; see to the disk and to the file (audit.file in the configuration)',
      );
      return;
    case 'resumed':
      log.warn(
        { lostLines: transition.lostLines },
        'the audit log can be written again; a line in it says how many were lost',
      );
      return;
    case 'removed':
      log.error(
        { nextSeq: transition.nextSeq },
        'the file of the audit log was removed or renamed: a new one goes on with the chain; put ' +
          'the old one back beside it under another name',
      );
      return;
    case 'torn':
      log.warn({ seq: transition.seq }, 'a crash has left a torn line in the audit log; it stays');
      return;
    case 'rotation-failed':
      log.warn({ err: transition.error }, 'the audit log goes on in its file, which is too long');
      return;
    case 'unsealed':
      log.warn({ err: transition.error }, 'the audit log could not be sealed; it is tried again');
      return;
    case 'sealed':
      log.info('the audit log is sealed again');
      return;
    case 'no-head':
      log.warn(
        { err: transition.error },
        'the token keeps no record of the newest seal of the audit log: lines that are cut off ' +
          'behind an older one cannot be noticed',
      );
  }
}
