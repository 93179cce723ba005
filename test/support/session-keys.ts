import type { Key } from '../../src/domain/key.ts';
import type { TokenSession } from '../../src/pkcs11/token-session.ts';
import type { ListingRequest } from '../../src/service/key-lister.ts';

/** Every key that a session sees, each read anew. */
export function keysOf(session: TokenSession): Key[] {
  const keys: Key[] = [];
  let request: ListingRequest = {};
  for (;;) {
    const piece = session.listKeys(request);
    keys.push(...piece.keys);
    if (piece.isLast) return keys;
    request = { continues: piece.id };
  }
}
