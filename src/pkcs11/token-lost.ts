import { SigildError } from '../domain/errors.ts';

/**
 * The token cannot be used from this process any more: it went away, lost the login, or its canary
 * key failed. A fresh host process has to take over; no handle of this one may be used again.
 */
export class TokenLost extends SigildError {
  constructor(message: string, cause?: unknown) {
    super('TOKEN_UNAVAILABLE', message, { cause });
    this.name = 'TokenLost';
  }
}
