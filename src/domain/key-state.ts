/** The states that stand on the token as what it lets a version do. */
export const USAGE_STATES = ['ACTIVE', 'DEACTIVATED', 'SUSPENDED'] as const;

/** The states of a key version, in the words of NIST SP 800-57 Part 1. */
export const KEY_STATES = [...USAGE_STATES, 'DESTROY_SCHEDULED', 'DESTROYED'] as const;

export type UsageState = (typeof USAGE_STATES)[number];

export type KeyState = (typeof KEY_STATES)[number];

export function isUsageState(name: string): name is UsageState {
  return (USAGE_STATES as readonly string[]).includes(name);
}

/** What the token lets a version do. */
export interface KeyUsage {
  readonly sign: boolean;
  readonly verify: boolean;
}

const USAGES = {
  ACTIVE: { sign: true, verify: true },
  DEACTIVATED: { sign: false, verify: true },
  SUSPENDED: { sign: false, verify: false },
} as const satisfies Record<UsageState, KeyUsage>;

/** How a state stands on the token. */
export function usageOf(state: UsageState): KeyUsage {
  return USAGES[state];
}

/**
 * The states that a version may be given, by the one that it has: see NIST SP 800-57 Part 1, sections
 * 7.2 (active) and 7.3 (suspended). A version that signs is never destroyed: it is deactivated or
 * suspended before, and there is time to see who misses it.
 *
 * A deactivated version never signs again: were it suspended, the token would not tell it from a
 * version that was ACTIVE before. One whose destruction was scheduled has a record that does.
 */
const TRANSITIONS = {
  ACTIVE: ['DEACTIVATED', 'SUSPENDED'],
  DEACTIVATED: ['DESTROY_SCHEDULED'],
  SUSPENDED: ['ACTIVE', 'DEACTIVATED', 'DESTROY_SCHEDULED'],
  DESTROY_SCHEDULED: ['SUSPENDED', 'DESTROYED'],
  DESTROYED: [],
} as const satisfies Record<KeyState, readonly KeyState[]>;

/** The states that a version in this state may be given, beside the one that it has. */
export function nextStates(state: KeyState): readonly KeyState[] {
  return TRANSITIONS[state];
}

/**
 * The state that a version's usage on the token stands for.
 *
 * A key of another tool that may sign but not verify counts as ACTIVE: whoever may make a MAC can
 * check one.
 */
export function stateOf(usage: KeyUsage): UsageState {
  if (usage.sign) return 'ACTIVE';
  return usage.verify ? 'DEACTIVATED' : 'SUSPENDED';
}

export function maySign(state: KeyState): boolean {
  return state === 'ACTIVE';
}

export function mayVerify(state: KeyState): boolean {
  return state === 'ACTIVE' || state === 'DEACTIVATED';
}
