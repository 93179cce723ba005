import { createHash, type Hash, hash } from 'node:crypto';

/**
 * The hash of a line, which the line after carries as its `prev`.
 *
 * @param line without its LF
 * @returns lower-case hexadecimal
 */
export function hashOf(line: string | Uint8Array): string {
  return hash('sha256', line, 'hex');
}

/**
 * What stands for a line's hash where lines are torn. It holds the hash of the last whole line too,
 * which no line carries otherwise.
 *
 * @param before hash of the last whole line
 * @returns to be given all bytes after that line, without the LF that ends them
 */
export function tornHash(before: string): Hash {
  return createHash('sha256').update(`${before}\n`);
}
