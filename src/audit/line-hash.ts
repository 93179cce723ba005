import { hash } from 'node:crypto';

/**
 * The hash of a line, which the line after carries as its `prev`.
 *
 * @param line without its LF
 * @returns lower-case hexadecimal
 */
export function hashOf(line: string | Uint8Array): string {
  return hash('sha256', line, 'hex');
}
