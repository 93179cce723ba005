/**
 * Decodes base64 as RFC 4648 section 4 defines it: with padding, and without line breaks, other
 * alphabets or bits that no byte has.
 *
 * @returns undefined for anything else
 */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}
