import type { Algorithm } from '../domain/algorithm.ts';
import type { AdoptRule, PinSource, TokenSelector, WarmMode } from '../domain/token-options.ts';
import type { Operation } from '../service/access-policy.ts';

/** From the least to the most, as the log library names them. */
export const LOG_LEVELS = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/** The configuration, checked and complete: every default stands in its place. */
export interface Config {
  readonly token: TokenConfig;
  /** What clients may ask for; at least one. */
  readonly algorithms: readonly Algorithm[];
  /** At least one; no two have one address. */
  readonly listeners: readonly ListenerConfig[];
  /** At least one; names are unique, and every client that a listener names is here. */
  readonly clients: readonly ClientConfig[];
  /** Undefined: none is kept. */
  readonly audit?: AuditConfig | undefined;
  readonly keys: {
    /** How old what a host knows of a key may become, in milliseconds. */
    readonly refreshIntervalMs: number;
    /** The limit of a search on the token, which several requests may share. */
    readonly lookupTimeoutMs: number;
    /** The shortest rotation period that a key may be given. */
    readonly minRotationPeriodMs: number;
    /** Of a scheduled destruction whose request gives none. */
    readonly destroyDelayMs: number;
    /** The shortest that a request may give; not longer than the one before. */
    readonly minDestroyDelayMs: number;
  };
  readonly limits: {
    readonly maxDataBytes: number;
    /** Requests that wait for the token. */
    readonly maxWaiting: number;
    readonly maxInFlight: number;
    readonly maxInFlightPerClient: number;
    readonly maxConnectionsPerClient: number;
    /** Pipeline streams that one client has open. */
    readonly maxStreamsPerClient: number;
    /** SignStream and VerifyStream calls that are open, each with sessions of the token. */
    readonly maxSigningStreams: number;
    readonly maxSigningStreamsPerClient: number;
    /** For a client to send more on such a stream. */
    readonly signingStreamIdleMs: number;
    /** For such a stream in all. */
    readonly signingStreamLimitMs: number;
    /** For requests whose client sets no deadline. */
    readonly defaultDeadlineMs: number;
    /** Of all clients together. */
    readonly rates: RatesConfig;
    /** Of each client that has no rates of its own. */
    readonly ratesPerClient: RatesConfig;
  };
  readonly health: { readonly intervalMs: number; readonly timeoutMs: number };
  readonly shutdown: { readonly drainTimeoutMs: number };
  readonly log: { readonly level: LogLevel };
  /** Where metrics are told; undefined where they are not. */
  readonly metrics: { readonly listen?: MetricsAddress | undefined };
}

export interface TokenConfig {
  /** Absolute path of the PKCS#11 library. */
  readonly module: string;
  /** At least one member is defined. */
  readonly selector: TokenSelector;
  readonly pin: PinSource;
  readonly hosts: number;
  readonly sessionsPerHost: number;
  readonly startTimeoutMs: number;
  /** A call into the module that takes longer has hung. */
  readonly callTimeoutMs: number;
  readonly warmKeys: WarmMode;
  readonly adopt: readonly AdoptRule[];
}

export interface AuditConfig {
  /** Absolute path. */
  readonly file: string;
  readonly fsync: 'always' | 'interval';
  readonly fsyncIntervalMs: number;
  readonly sealIntervalMs: number;
  readonly maxFileBytes: number;
  /** Files that were put aside and stay; undefined: all. */
  readonly maxFiles?: number | undefined;
  /** Whether keys may be used while the log cannot be written. */
  readonly signing: 'required' | 'besteffort';
  readonly dataDigest: boolean;
}

export interface ListenerConfig {
  readonly address: ListenerAddress;
  readonly identity: ListenerIdentity;
}

export type ListenerAddress =
  | {
      readonly kind: 'unix';
      readonly path: string;
      /** Permission bits. */
      readonly mode: number;
      /** A group's name or its number; undefined leaves the daemon's own. */
      readonly group: string | number | undefined;
    }
  /** `host` is an IP address without brackets; `port` 0 is any free port. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** A socket that systemd passes, by its FileDescriptorName. */
  | { readonly kind: 'systemd'; readonly name: string };

export type ListenerIdentity =
  /** Everyone who connects is this client. `plaintext` allows that on a loopback TCP socket. */
  | { readonly kind: 'client'; readonly client: string; readonly plaintext: boolean }
  /** Whoever connects is the client of the first rule about its process; on unix sockets alone. */
  | { readonly kind: 'peers'; readonly peers: readonly PeerConfig[] }
  /** Everyone proves who they are with a certificate. */
  | { readonly kind: 'certificate'; readonly tls: TlsFiles };

/** Which client the processes of a user, or of a group's members, are. */
export interface PeerConfig {
  readonly by: 'uid' | 'gid';
  /** A name or a number. */
  readonly id: string | number;
  readonly client: string;
}

/** Absolute paths of PEM files. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
  /** The authorities that may vouch for clients. */
  readonly clientCa: string;
  /** The revocation lists of all those authorities; undefined where none is looked at. */
  readonly clientCrl?: string | undefined;
}

export interface ClientConfig {
  readonly name: string;
  readonly grants: readonly GrantConfig[];
  /** In place of what `limits` has for every client. */
  readonly limits: RatesConfig & { readonly maxInFlight?: number | undefined };
}

/** What is absent has no limit; bursts are those of a second where they are absent. */
export interface RatesConfig {
  readonly callsPerSecond?: number | undefined;
  readonly callBurst?: number | undefined;
  readonly callsPerDay?: number | undefined;
  readonly bytesPerSecond?: number | undefined;
  readonly byteBurst?: number | undefined;
}

export interface GrantConfig {
  /** Patterns of key names: see domain/name-pattern.ts. */
  readonly keys: readonly string[];
  readonly operations: readonly Operation[];
  readonly expiresAtMs?: number | undefined;
}

/** On a unix socket, or on a loopback address. */
export type MetricsAddress = Extract<ListenerAddress, { readonly kind: 'unix' | 'tcp' }>;
