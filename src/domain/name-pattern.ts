/** Tells whether a key's name matches. */
export type NamePattern = (name: string) => boolean;

const PATTERN = /^[A-Za-z0-9._*-]{1,63}$/;

export function isNamePattern(pattern: string): boolean {
  return PATTERN.test(pattern);
}

/**
 * Compiles a pattern in which `*` stands for any number of characters and everything else for
 * itself, for instance `webhooks`, `shop-*` or `*`.
 */
export function namePattern(pattern: string): NamePattern {
  const source = pattern
    .split(/\*+/)
    .map((literal) => literal.replace(/[.-]/g, '\\$&'))
    .join('.*');
  const expression = new RegExp(`^${source}$`, 's');
  return (name) => expression.test(name);
}
