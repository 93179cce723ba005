import { ALGORITHM_NAMES, type Algorithm } from '../domain/algorithm.ts';
import { MAX_DESTROY_DELAY_MS } from '../domain/destroy-delay.ts';
import { MAX_ROTATION_PERIOD_MS } from '../domain/rotation.ts';
import { OPERATIONS } from '../service/access-policy.ts';
import { auditSchema } from './audit-schema.ts';
import { type Config, LOG_LEVELS } from './config.ts';
import {
  algorithm,
  clientName,
  integer,
  isMap,
  list,
  map,
  ON_ANY_MAP,
  oneOf,
  pattern,
  section,
  timestamp,
} from './fields.ts';
import { listenerSchema, toListenerConfig } from './listener-schema.ts';
import { metricsAddress } from './metrics-address.ts';
import { tokenSchema } from './token-schema.ts';

// HMAC_SHA1 is for those who must and say so.
const DEFAULT_ALGORITHMS: Algorithm[] = ALGORITHM_NAMES.filter((name) => name !== 'HMAC_SHA1');

const rates = {
  callsPerSecond: integer(1, 1_000_000).optional(),
  callBurst: integer(1, 1_000_000).optional(),
  callsPerDay: integer(1, 1_000_000_000_000).optional(),
  bytesPerSecond: integer(1_024, 1_000_000_000_000).optional(),
  byteBurst: integer(1_024, 1_000_000_000_000).optional(),
};

const client = map({
  name: clientName,
  grants: list(
    map({
      keys: list(pattern, 'pattern of key names'),
      operations: list(oneOf(OPERATIONS), `operation of ${OPERATIONS.join(', ')}`),
      expires: timestamp.optional(),
    }).transform(({ expires, ...grant }) => ({ ...grant, expiresAtMs: expires })),
    'grant',
  ),
  limits: section({ maxInFlight: integer(1, 65_536).optional(), ...rates }),
});

const MIB = 1_048_576;

const DAY_MS = 24 * 60 * 60 * 1_000;

const settings = {
  keys: section({
    refreshIntervalMs: integer(1_000, 3_600_000).default(10_000),
    lookupTimeoutMs: integer(1_000, 300_000).default(30_000),
    minRotationPeriodMs: integer(1_000, MAX_ROTATION_PERIOD_MS).default(3_600_000),
    destroyDelayMs: integer(0, MAX_DESTROY_DELAY_MS).default(30 * DAY_MS),
    minDestroyDelayMs: integer(0, MAX_DESTROY_DELAY_MS).default(DAY_MS),
  }),
  limits: section({
    maxDataBytes: integer(1, 16 * MIB).default(MIB),
    maxWaiting: integer(1, 65_536).default(1_024),
    maxInFlight: integer(1, 65_536).default(4_096),
    maxInFlightPerClient: integer(1, 65_536).default(2_048),
    maxConnectionsPerClient: integer(1, 1_024).default(256),
    maxStreamsPerClient: integer(1, 65_536).default(64),
    maxSigningStreams: integer(1, 4_096).default(128),
    maxSigningStreamsPerClient: integer(1, 4_096).default(64),
    signingStreamIdleMs: integer(100, 600_000).default(10_000),
    signingStreamLimitMs: integer(1_000, 86_400_000).default(600_000),
    defaultDeadlineMs: integer(10, 600_000).default(5_000),
    rates: section(rates),
    ratesPerClient: section(rates),
  }),
  health: section({
    intervalMs: integer(100, 60_000).default(1_000),
    timeoutMs: integer(100, 60_000).default(2_000),
  }),
  shutdown: section({ drainTimeoutMs: integer(0, 60_000).default(10_000) }),
  log: section({ level: oneOf(LOG_LEVELS).default('info') }),
  metrics: section({ listen: metricsAddress.optional() }),
};

/** @param credentialsDirectory where systemd puts credentials; undefined when it passes none */
export function documentSchema(credentialsDirectory: string | undefined) {
  return map({
    token: tokenSchema(credentialsDirectory),
    algorithms: list(algorithm, 'algorithm').default(DEFAULT_ALGORITHMS),
    listeners: list(listenerSchema, 'listener'),
    clients: list(client, 'client'),
    audit: auditSchema,
    ...settings,
  })
    .superRefine((document, context) => {
      for (const { path, message } of brokenAcrossItems(document)) {
        context.addIssue({ code: 'custom', path: [...path], message });
      }
    }, ON_ANY_MAP)
    .transform(
      (document): Config => ({
        ...document,
        listeners: document.listeners.map(toListenerConfig),
      }),
    );
}

type Item = Readonly<Record<string, unknown>>;

interface Broken {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** The rules that bind items to each other; single items may be wrong besides. */
function brokenAcrossItems(document: Item): Broken[] {
  const listeners = itemsOf(document['listeners']);
  const clients = itemsOf(document['clients']);
  return [
    ...['unix', 'tcp', 'systemd'].flatMap((key) =>
      repeated('listeners', listeners, key, 'an earlier listener has this address'),
    ),
    ...unknownClients(listeners, clients),
    ...repeated('clients', clients, 'name', 'an earlier client has this name; join their grants'),
    ...tooShortDelay(document['keys']),
    ...burstsWithoutRate(document['limits'], clients),
  ];
}

function repeated(list: string, items: readonly Item[], key: string, message: string): Broken[] {
  const values = items.map((item) => item[key]);
  return values.flatMap((value, index): Broken[] =>
    value !== undefined && values.indexOf(value) < index
      ? [{ path: [list, index, key], message }]
      : [],
  );
}

const UNKNOWN_CLIENT = 'no entry of clients has this name: who connects here could do nothing';

function unknownClients(listeners: readonly Item[], clients: readonly Item[]): Broken[] {
  const names = clients.map((item) => item['name']);
  // A client whose name is missing or wrong may be the one that is meant.
  if (names.length === 0 || !names.every(isString)) return [];
  const unknown = (path: Broken['path'], { client }: Item): Broken[] =>
    isString(client) && !names.includes(client)
      ? [{ path: [...path, 'client'], message: UNKNOWN_CLIENT }]
      : [];
  return listeners.flatMap((listener, index) => [
    ...unknown(['listeners', index], listener),
    ...itemsOf(listener['peers']).flatMap((peer, rule) =>
      unknown(['listeners', index, 'peers', rule], peer),
    ),
  ]);
}

function tooShortDelay(keys: unknown): Broken[] {
  const { destroyDelayMs, minDestroyDelayMs } = isMap(keys) ? keys : {};
  if (!(Number(destroyDelayMs) < Number(minDestroyDelayMs))) return [];
  const message = `must be minDestroyDelayMs (${minDestroyDelayMs}) at the least`;
  return [{ path: ['keys', 'destroyDelayMs'], message }];
}

/** A burst says something only of a rate; a client's may be of the rate that all clients have. */
function burstsWithoutRate(limits: unknown, clients: readonly Item[]): Broken[] {
  const { rates: inAll, ratesPerClient: perClient } = isMap(limits) ? limits : {};
  const places = [
    { path: ['limits', 'rates'], bursts: inAll, rates: inAll },
    { path: ['limits', 'ratesPerClient'], bursts: perClient, rates: perClient },
    ...clients.map(({ limits: own }, index) => ({
      path: ['clients', index, 'limits'],
      bursts: own,
      rates: { ...asMap(perClient), ...asMap(own) },
    })),
  ];
  return places.flatMap(({ path, bursts, rates }) =>
    Object.entries({ callBurst: 'callsPerSecond', byteBurst: 'bytesPerSecond' }).flatMap(
      ([burst, rate]): Broken[] =>
        burst in asMap(bursts) && !(rate in asMap(rates))
          ? [{ path: [...path, burst], message: `needs ${rate} beside it` }]
          : [],
    ),
  );
}

function asMap(value: unknown): Item {
  return isMap(value) ? value : {};
}

function itemsOf(list: unknown): readonly Item[] {
  return Array.isArray(list) ? list.map((item: unknown) => (isMap(item) ? item : {})) : [];
}

function isString(value: unknown): value is string {
  return typeof value === 'string';
}
