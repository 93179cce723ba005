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
  const [start = '', ...rest] = pattern.split('*');
  const end = rest.pop();
  if (end === undefined) return (name) => name === start;
  // No regular expression: one with six `*` takes many seconds on a name that a client chose.
  return (name) => {
    if (!name.startsWith(start)) return false;
    let at = start.length;
    for (const literal of rest) {
      const found = name.indexOf(literal, at);
      if (found < 0) return false;
      at = found + literal.length;
    }
    return name.length - end.length >= at && name.endsWith(end);
  };
}
