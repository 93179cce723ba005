import type { Intent } from '../service/token-values.ts';
import { alreadyExists } from './key-creation.ts';
import type { KeyObjects } from './key-objects.ts';
import { assertSigns, assertSupported } from './mechanisms.ts';
import type { Session } from './session.ts';
import type { TokenSession } from './token-session.ts';

/** @throws {SigildError} as Token.check */
export function checkIntent(session: TokenSession, intent: Intent): void {
  session.repeatable('looking what the token can do', (open, objects) => {
    if (intent.use === 'make-key') assertFree(open, objects, intent.name);
    if (intent.use === 'sign') assertSigns(open.slot, intent.algorithm);
    else assertSupported(open.slot, intent.algorithm);
  });
}

/** @throws {SigildError} KEY_ALREADY_EXISTS @throws {CryptokiError} */
function assertFree(session: Session, objects: KeyObjects, name: string): void {
  const { served, isTaken } = objects.lookAt(session, name);
  if (isTaken) throw alreadyExists(name, served);
}
