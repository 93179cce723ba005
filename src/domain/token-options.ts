import type { Algorithm } from './algorithm.ts';

/** Names one token; what is undefined matches any. Slot numbers change and never name one. */
export interface TokenSelector {
  readonly label?: string | undefined;
  readonly serial?: string | undefined;
  readonly manufacturer?: string | undefined;
  readonly model?: string | undefined;
}

/** Where the user PIN stands. */
export interface PinSource {
  readonly file: string;
  /**
   * Whether systemd passes it as a credential. Such a file shows its group the right to read: that
   * is the mask of the ACL by which systemd lets the service's user alone read it.
   */
  readonly credential: boolean;
}

/** Says which algorithm secret keys of other tools are for, by their label. */
export interface AdoptRule {
  /** See domain/name-pattern.ts. */
  readonly label: string;
  readonly algorithm: Algorithm;
}

/** Whether hosts sign with copies of keys as session objects; `auto` measures both ways. */
export const WARM_MODES = ['auto', 'on', 'off'] as const;

export type WarmMode = (typeof WARM_MODES)[number];

/** What was decided about copies of keys. */
export interface Warmth {
  readonly warm: boolean;
  readonly why: string;
}
