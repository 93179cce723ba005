import type {
  AdoptRule,
  PinSource,
  TokenSelector,
  WarmMode,
  Warmth,
} from '../domain/token-options.ts';
import { START_FAILURE_KINDS, type StartFailureKind } from '../service/start-failure.ts';

/** The first and only message from the front to a host process. */
export interface StartMessage {
  /** Absolute path of the PKCS#11 module. */
  readonly module: string;
  readonly selector: TokenSelector;
  /** The serial number of the token that earlier hosts used. */
  readonly expectedSerial: string | undefined;
  readonly pin: PinSource;
  readonly adopt: readonly AdoptRule[];
  readonly warmKeys: WarmMode;
  /** How long a copy of a key may sign before the key itself is asked. */
  readonly recheckMs: number;
  /** Whether to look where all keys stand, for lanes that are going to use them. */
  readonly survey: boolean;
  /** How many session lanes to run; lane n talks on file descriptor FIRST_LANE_FD + n. */
  readonly sessions: number;
}

/** The descriptor of the pipe on which these messages travel; 0 to 2 are the standard streams. */
export const CONTROL_FD = 3;

export const FIRST_LANE_FD = 4;

/** A canary key, and what shows that it makes the MACs that it made in other hosts. */
export interface CanaryProof {
  /** In hexadecimal. */
  readonly id: string;
  /** The start of its MAC of the reserved text, in hexadecimal. */
  readonly mac: string;
}

/** Every lane has tried to open its session. */
export interface ReadyMessage {
  readonly type: 'ready';
  readonly serial: string;
  readonly canary: CanaryProof;
  /** The numbers of the lanes that have a session. At least one. */
  readonly lanes: readonly number[];
  readonly warmth: Warmth;
  /** Why the others have none, when the token gave fewer sessions than asked for. */
  readonly shortage: string | undefined;
}

export interface FailedMessage {
  readonly type: 'failed';
  readonly kind: StartFailureKind;
  readonly message: string;
}

/** A defect in a lane, for the log. */
export interface DefectMessage {
  readonly type: 'defect';
  readonly stack: string;
}

export type HostMessage = ReadyMessage | FailedMessage | DefectMessage;

/**
 * @param value what a host has sent
 * @param sessions how many lanes it was asked for
 * @returns undefined for what is no message
 */
export function hostMessage(value: unknown, sessions: number): HostMessage | undefined {
  const message = (value ?? {}) as HostMessage;
  switch (message.type) {
    case 'ready':
      return isReady(message, sessions) ? message : undefined;
    case 'failed': {
      const isFailure =
        START_FAILURE_KINDS.includes(message.kind) && typeof message.message === 'string';
      return isFailure ? message : undefined;
    }
    case 'defect':
      return typeof message.stack === 'string' ? message : undefined;
    default:
      return undefined;
  }
}

function isReady(message: ReadyMessage, sessions: number): boolean {
  const { serial, canary, lanes, warmth, shortage } = message;
  const hasLanes =
    Array.isArray(lanes) &&
    lanes.length > 0 &&
    new Set(lanes).size === lanes.length &&
    lanes.every((lane) => Number.isInteger(lane) && lane >= 0 && lane < sessions);
  return (
    hasLanes &&
    typeof serial === 'string' &&
    typeof canary?.id === 'string' &&
    typeof canary.mac === 'string' &&
    typeof warmth?.warm === 'boolean' &&
    typeof warmth.why === 'string' &&
    (shortage === undefined || typeof shortage === 'string')
  );
}
