import type { WarmMode, Warmth } from '../domain/token-options.ts';
import { FINGERPRINT_TEXT } from '../service/reserved-text.ts';
import type { Canary } from './canary.ts';
import { CryptokiError, ck } from './ck-rv.ts';
import { type MacKey, signMac } from './mac.ts';
import type { Session } from './session.ts';
import { copyKey } from './warm-keys.ts';

const ROUNDS = 7;
const MACS_PER_ROUND = 8;

/** A network token takes milliseconds a call: there the first rounds have to do. */
const BUDGET_MS = 100;

/** A copy has to be faster by this much, or it is not worth its place on the token. */
const WORTHWHILE = 0.8;

const DATA = Buffer.from(FINGERPRINT_TEXT);

/**
 * Decides whether hosts sign with copies of keys: as configured, or by measuring both ways on this
 * token with a key that is there for such things.
 *
 * @param canary signs on this session
 * @param canaryMac its MAC of the reserved text
 */
export function decideWarmth(
  mode: WarmMode,
  session: Session,
  canary: Canary,
  canaryMac: Buffer,
): Warmth {
  if (mode !== 'auto') return { warm: mode === 'on', why: `configured: ${mode}` };
  try {
    const key = canary.key(session);
    if (key) return measure(session, key, canaryMac);
    return { warm: false, why: 'there is no key to measure with' };
  } catch (error) {
    if (!(error instanceof CryptokiError)) throw error;
    return { warm: false, why: `copying a key failed: ${error.message}` };
  }
}

function measure(session: Session, canary: MacKey, canaryMac: Buffer): Warmth {
  const copy = copyKey(session, canary, canaryMac);
  if (!copy) return { warm: false, why: 'the token makes no copy of a key that is as safe' };
  const rounds = { key: [] as number[], copy: [] as number[] };
  const startedAtMs = performance.now();
  for (let round = 0; round < ROUNDS && performance.now() - startedAtMs < BUDGET_MS; round++) {
    rounds.key.push(timeUs(session, canary));
    rounds.copy.push(timeUs(session, copy));
  }
  ck('C_DestroyObject', () => session.lib.C_DestroyObject(session.handle, copy.handle));
  const [keyUs, copyUs] = [median(rounds.key), median(rounds.copy)];
  return {
    warm: copyUs < keyUs * WORTHWHILE,
    why: `measured ${copyUs.toFixed(1)} µs a MAC with a copy, ${keyUs.toFixed(1)} µs with the key`,
  };
}

function timeUs(session: Session, key: MacKey): number {
  const startedAtMs = performance.now();
  for (let mac = 0; mac < MACS_PER_ROUND; mac++) signMac(session, key, DATA);
  return ((performance.now() - startedAtMs) * 1_000) / MACS_PER_ROUND;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
