/** The states of a key version, in the words of NIST SP 800-57 Part 1. */
export const KEY_STATES = ['ACTIVE', 'DEACTIVATED', 'SUSPENDED'] as const;

export type KeyState = (typeof KEY_STATES)[number];

/** What the token lets a version do. */
export interface KeyUsage {
  readonly sign: boolean;
  readonly verify: boolean;
}

/**
 * The state that a version's usage on the token stands for.
 *
 * A key of another tool that may sign but not verify counts as ACTIVE: whoever may make a MAC can
 * check one.
 */
export function stateOf(usage: KeyUsage): KeyState {
  if (usage.sign) return 'ACTIVE';
  return usage.verify ? 'DEACTIVATED' : 'SUSPENDED';
}

export function maySign(state: KeyState): boolean {
  return state === 'ACTIVE';
}

export function mayVerify(state: KeyState): boolean {
  return state !== 'SUSPENDED';
}
