import type { AdoptRule, PinSource, TokenSelector, WarmMode } from '../domain/token-options.ts';
import type { StartFailure } from '../service/start-failure.ts';
import type { HostTransition } from './supervisor.ts';

export interface HostedTokenOptions {
  /** Path of host-process.js. */
  readonly program: string;
  /** The hosts' environment; it holds what the PKCS#11 module needs and no secret. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Absolute path of the PKCS#11 module. */
  readonly module: string;
  readonly selector: TokenSelector;
  readonly pin: PinSource;
  readonly adopt: readonly AdoptRule[];
  readonly warmKeys: WarmMode;
  /** How long a change made by another program may stay unseen where copies of keys sign. */
  readonly recheckMs: number;
  readonly hosts: number;
  readonly sessionsPerHost: number;
  readonly startTimeoutMs: number;
  /** A call that takes longer inside the module has hung: its host is killed and replaced. */
  readonly callTimeoutMs: number;
  readonly maxWaiting: number;
  readonly onTransition: (transition: HostTransition) => void;
  /** The same for the host that changes the token. */
  readonly onWriterTransition: (transition: HostTransition) => void;
  /** A defect in a host, for the log. */
  readonly onDefect: (stack: string) => void;
  /** Told once, when no host is left and none may be started again. */
  readonly onGiveUp: (failure: StartFailure) => void;
}
