import type { TokenSelector } from '../domain/token-options.ts';

/** Bytes that CK_TOKEN_INFO has for what a token says of itself. */
export const TOKEN_INFO_BYTES = {
  label: 32,
  manufacturer: 32,
  serial: 16,
  model: 16,
} as const satisfies Record<keyof TokenSelector, number>;

/** What is wrong with a URI, in words that quote none of its values. */
export interface TokenUriProblem {
  readonly problem: string;
}

/** The attributes that select a token, by their names in a URI. */
const SELECTING: ReadonlyMap<string, keyof TokenSelector> = new Map([
  ['token', 'label'],
  ['manufacturer', 'manufacturer'],
  ['serial', 'serial'],
  ['model', 'model'],
]);

const REFUSED: ReadonlyMap<string, string> = new Map([
  ['slot-id', 'slot numbers change as readers and tokens come and go'],
  ['pin-value', 'a PIN has no place in a configuration; use pinFile or pinCredential'],
  ['pin-source', 'the PIN comes from pinFile or pinCredential'],
  ['module-path', 'the library is the one that module names'],
  ['module-name', 'the library is the one that module names'],
]);

const URI = /^pkcs11:(?<path>[^?]*)(?:\?(?<query>.*))?$/is;

// The value is RFC 7512's pk11-pchar: RFC 3986's unreserved, pk11-path-res-avail and pct-encoded.
const ATTRIBUTE =
  /^(?<name>[A-Za-z0-9_-]+)=(?<value>(?:[A-Za-z0-9\-._~:[\]@!$'()*+,=&]|%[0-9A-Fa-f]{2})+)$/;

/** Reads the PKCS#11 URI (RFC 7512) of a token: `pkcs11:` with token, serial, manufacturer, model. */
export function parseTokenUri(uri: string): TokenSelector | TokenUriProblem {
  const { path, query } = URI.exec(uri)?.groups ?? {};
  if (path === undefined) return { problem: 'must begin with pkcs11:' };
  if (query !== undefined) return { problem: problemOfQuery(query) };
  const selector: Partial<Record<keyof TokenSelector, string>> = {};
  for (const attribute of path.split(';')) {
    const problem = addAttribute(selector, attribute);
    if (problem !== undefined) return { problem };
  }
  return selector;
}

export function isTokenUriProblem(
  result: TokenSelector | TokenUriProblem,
): result is TokenUriProblem {
  return 'problem' in result;
}

/** @returns what is wrong with the attribute */
function addAttribute(
  selector: Partial<Record<keyof TokenSelector, string>>,
  attribute: string,
): string | undefined {
  const { name, value } = ATTRIBUTE.exec(attribute)?.groups ?? {};
  if (name === undefined || value === undefined) {
    return 'must be name=value pairs with ; between them, other characters as %XX';
  }
  const member = SELECTING.get(name);
  if (member === undefined) return refusal(name);
  if (selector[member] !== undefined) return `must not have ${name} twice`;
  const text = decoded(value);
  if (text === undefined || Buffer.byteLength(text) > TOKEN_INFO_BYTES[member]) {
    return `${name} must be UTF-8 of at most ${TOKEN_INFO_BYTES[member]} bytes`;
  }
  selector[member] = text;
  return undefined;
}

function problemOfQuery(query: string): string {
  const names = query.split('&').map((attribute) => attribute.split('=')[0] ?? '');
  return refusal(names.find((name) => REFUSED.has(name)) ?? '');
}

function refusal(name: string): string {
  const allowed = `only ${[...SELECTING.keys()].join(', ')} are allowed`;
  const reason = REFUSED.get(name);
  return reason === undefined ? allowed : `${name} is refused: ${reason}; ${allowed}`;
}

function decoded(value: string): string | undefined {
  try {
    return decodeURIComponent(value);
  } catch {
    return undefined;
  }
}
