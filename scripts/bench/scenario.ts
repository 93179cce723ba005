import type { Resources } from './resources.ts';

/** What one subject of a scenario did: the median of its rounds. */
export interface Row {
  readonly name: string;
  readonly opsPerSecond?: number;
  /** Those of the slowest and of the fastest round. */
  readonly minOpsPerSecond?: number;
  readonly maxOpsPerSecond?: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly p999Ms?: number;
  /** Processor time of the client's process, for one operation. */
  readonly clientCpuUs?: number;
  /** That of the process that clients talk to. */
  readonly serverCpuUs?: number;
  /** That of the token hosts together. */
  readonly hostsCpuUs?: number;
  readonly startMs?: number;
  /** For how long the token works on one operation. */
  readonly tokenMs?: number;
  /** How late the event loop of the process that clients talk to is. */
  readonly eventLoopDelayP99Ms?: number;
  /** How long the answer to a health check takes, for a client that does nothing else. */
  readonly healthP99Ms?: number;
  /** Memory that is in RAM, with what it shares with other processes counted in full. */
  readonly residentMiB?: number;
  /** The same with what is shared divided among those who share it. */
  readonly proportionalMiB?: number;
  /** Proportional memory of the process that clients talk to. */
  readonly serverMiB?: number;
  /** That of the token hosts together. */
  readonly hostsMiB?: number;
}

/** What a row can have a number for. */
export type Figure = Exclude<keyof Row, 'name'>;

export interface Outcome {
  readonly rows: readonly Row[];
  /** By `ROW/REFERENCE`: how many times faster than the reference. Others are a scenario's own. */
  readonly ratios: Readonly<Record<string, number>>;
}

export interface Context {
  /** About how long one measurement takes. */
  readonly seconds: number;
  /** How often each subject is measured. */
  readonly rounds: number;
  /** Aborts when the benchmark is to end early. */
  readonly signal: AbortSignal;
  /** Released when the scenario ends, in whatever way. */
  readonly resources: Resources;
  /** Tells whoever waits what is going on. */
  readonly progress: (what: string) => void;
}

/** One thing that can be measured; `scenarios.ts` lists them all. */
export interface Scenario {
  readonly name: string;
  /** For the help, in one line. */
  readonly summary: string;
  /** What its chart shows; operations per second when absent. */
  readonly chart?: readonly Figure[];
  readonly run: (context: Context) => Promise<Outcome>;
}
