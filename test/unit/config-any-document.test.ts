import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseDocument, stringify, visit } from 'yaml';
import { MINIMAL, problemsOf } from '../support/config-file.ts';

const EVERYTHING = `${MINIMAL}keys: { refreshIntervalMs: 10000, lookupTimeoutMs: 30000 }
limits: { maxDataBytes: 1, maxWaiting: 1, maxInFlight: 1, maxInFlightPerClient: 1, maxStreamsPerClient: 1,
  maxConnectionsPerClient: 1,
  maxSigningStreams: 1, maxSigningStreamsPerClient: 1, signingStreamIdleMs: 100, signingStreamLimitMs: 1000,
  rates: { callsPerSecond: 1, callBurst: 1, callsPerDay: 1, bytesPerSecond: 1024, byteBurst: 1024 },
  ratesPerClient: { callsPerSecond: 1 } }
health: { intervalMs: 1000, timeoutMs: 2000 }
shutdown: { drainTimeoutMs: 0 }
log: { level: info }
algorithms: [HMAC_SHA1, HMAC_SHA256]
`;

/** Each problem stands on one line, at a place that the text has. */
function expectPositions(text: string): void {
  const lines = text.split('\n');
  for (const problem of problemsOf(text)) {
    const [, line, column] = /^FILE:(\d+):(\d+): [^\n]+: [^\n]+$/.exec(problem) ?? [];
    expect(Number(line), problem).toBeGreaterThanOrEqual(1);
    expect(Number(line), problem).toBeLessThanOrEqual(lines.length);
    const length = lines[Number(line) - 1]?.length ?? 0;
    expect(Number(column), problem).toBeGreaterThanOrEqual(1);
    expect(Number(column), problem).toBeLessThanOrEqual(length + 1);
  }
}

test('any text loads or is told of with positions', () => {
  const yamlish = fc.array(
    fc.constantFrom(
      'token',
      ': ',
      '\n',
      '  ',
      '- ',
      '"',
      "'",
      '[',
      '{',
      '}',
      ']',
      '&a ',
      '*a',
      '|',
      '?',
      '!!set ',
      '#',
      '1',
      '%YAML 1.1\n---\n',
    ),
  );

  fc.assert(fc.property(fc.string({ unit: 'grapheme' }), expectPositions), { numRuns: 200 });
  fc.assert(
    fc.property(
      yamlish.map((parts) => parts.join('')),
      expectPositions,
    ),
    { numRuns: 200 },
  );
});

test('any document loads or is told of with positions', () => {
  const document = fc.dictionary(
    fc.constantFrom('token', 'listeners', 'clients', 'limits', 'log', 'x', '__proto__'),
    fc.jsonValue(),
  );

  fc.assert(
    fc.property(
      document.map((value) => stringify(value)),
      expectPositions,
    ),
    { numRuns: 200 },
  );
});

test('a right configuration with one value replaced loads or is told of with positions', () => {
  const places = countValues(EVERYTHING);

  fc.assert(
    fc.property(fc.nat(places - 1), fc.jsonValue({ maxDepth: 2 }), (place, value) => {
      expectPositions(withValueReplaced(EVERYTHING, place, value));
    }),
    { numRuns: 200 },
  );
});

function countValues(text: string): number {
  let count = 0;
  visit(parseDocument(text), {
    Value: () => {
      count += 1;
    },
  });
  return count;
}

function withValueReplaced(text: string, place: number, value: unknown): string {
  const document = parseDocument(text);
  let index = 0;
  visit(document, {
    Value: () => {
      index += 1;
      return index - 1 === place ? document.createNode(value) : undefined;
    },
  });
  return String(document);
}
