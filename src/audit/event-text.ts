import type { AuditedEnd, AuditedOperation } from '../domain/audit-event.ts';

/** Of a name that a certificate or a peer gives itself; so a line stays below its limit. */
const MAX_NAME_LENGTH = 1_024;

/**
 * The members of a `begin` line from its kind on, as JSON.stringify writes them: what others
 * choose is quoted by it, all else has nothing to quote.
 */
export function beginText(operation: AuditedOperation): string {
  return `"kind":"begin"${operationText(operation)}`;
}

/** As {@link beginText}, of an `end` line. @param dataDigest hexadecimal */
export function endText(end: AuditedEnd, dataDigest: string | undefined): string {
  return (
    `"kind":"end"${operationText(end)},"outcome":"${end.outcome}"` +
    member('valid', end.valid) +
    member('items', end.items) +
    member('failed', end.failed) +
    member('latencyUs', end.latencyUs) +
    (dataDigest === undefined ? '' : `,"dataDigest":"${dataDigest}"`)
  );
}

function operationText(event: AuditedOperation): string {
  const { request, trace, client, peer, operation, key, version, dryRun } = event;
  return (
    `,"request":"${request}"` +
    (trace === undefined ? '' : `,"trace":"${trace}"`) +
    name('client', client) +
    name('peer', peer) +
    `,"operation":"${operation}"` +
    (key === undefined ? '' : `,"key":"${key}"`) +
    member('version', version) +
    member('dryRun', dryRun)
  );
}

/** Of what others choose. */
function name(member: string, text: string | undefined): string {
  if (text === undefined) return '';
  return `,"${member}":${JSON.stringify(text.slice(0, MAX_NAME_LENGTH))}`;
}

function member(name: string, value: number | boolean | undefined): string {
  return value === undefined ? '' : `,"${name}":${value}`;
}
