import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** What the metrics are read from when they are asked for. */
export interface MetricsSources {
  readonly token: () => TokenFigures;
  readonly expiries: () => readonly ExpiryFigure[];
}

export interface TokenFigures {
  readonly hosts: number;
  readonly sessions: number;
  readonly waiting: number;
}

export interface ExpiryFigure {
  readonly file: string;
  readonly role: string;
  readonly expiresAtMs: number;
}

/** A request that was answered. */
export interface AnsweredRequest {
  readonly method: string;
  readonly outcome: string;
  readonly durationMs: number;
}

/** In seconds: from less than a MAC takes on SoftHSM to the default deadline. */
const DURATION_BUCKETS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
];

/**
 * Figures of the daemon and its process, for Prometheus. Their labels have values from the source
 * code and from the configuration alone, so that no client can make more of them.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests: Counter<'method' | 'outcome'>;
  readonly #durations: Histogram<'method'>;
  readonly #reload: Gauge;

  constructor({ token, expiries }: MetricsSources) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    this.#requests = new Counter({
      name: 'sigild_requests_total',
      help: 'Requests that were answered, by method and by reason of the error, or OK. Of a Pipeline, each frame counts.',
      labelNames: ['method', 'outcome'],
      registers,
    });
    this.#durations = new Histogram({
      name: 'sigild_request_duration_seconds',
      help: 'Time from the last byte of a request, of a stream from its first one, to its answer.',
      labelNames: ['method'],
      buckets: DURATION_BUCKETS,
      registers,
    });
    this.#reload = new Gauge({
      name: 'sigild_last_reload_successful',
      help: 'Whether the configuration and the files that it names could be used when they were read last: 1 or 0.',
      registers,
    });
    this.#reload.set(1);
    const gauge = (name: string, help: string, value: (figures: TokenFigures) => number) =>
      new Gauge({
        ...{ name, help, registers },
        collect() {
          this.set(value(token()));
        },
      });
    gauge(
      'sigild_token_hosts',
      'Token hosts that take requests, without the one for changes; fewer than token.hosts while one is replaced.',
      ({ hosts }) => hosts,
    );
    gauge(
      'sigild_sessions',
      'Sessions of those hosts that make and check MACs.',
      (t) => t.sessions,
    );
    gauge('sigild_waiting_requests', 'Calls that wait for a session.', ({ waiting }) => waiting);
    new Gauge({
      name: 'sigild_certificate_expiry_seconds',
      help: 'When the first certificate or revocation list in a file expires, in seconds since 1970.',
      labelNames: ['file', 'role'],
      registers,
      collect() {
        this.reset();
        for (const { file, role, expiresAtMs } of expiries()) {
          this.set({ file, role }, expiresAtMs / 1_000);
        }
      },
    });
  }

  answered({ method, outcome, durationMs }: AnsweredRequest): void {
    this.#requests.inc({ method, outcome });
    this.#durations.observe({ method }, durationMs / 1_000);
  }

  reloaded(succeeded: boolean): void {
    this.#reload.set(succeeded ? 1 : 0);
  }

  /** In Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }
}
