import { expect, test } from 'vitest';
import { assertAllAnswered, parseDurations, parseH2load } from '../../scripts/bench/h2load.ts';

/** What h2load 1.52 prints; `dataBytes` is what tells an answer from an error. */
const output = (dataBytes: number) => `starting benchmark...
spawning thread #0: 4 total client(s). 60000 total requests
Application protocol: h2c
progress: 10% done
progress: 100% done

finished in 4.48s, 13396.70 req/s, 1.42MB/s
requests: 60000 total, 60000 started, 60000 done, 60000 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 60000 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 6.36MB (6667292) total, 293.68KB (300728) headers (space savings 96.39%), 4.41MB (${dataBytes}) data
                     min         max         mean         sd        +/- sd
time for request:      977us     43.73ms      4.69ms      3.38ms    86.41%
time for connect:      177us      4.48ms      2.28ms      2.36ms   100.00%
time to 1st byte:    17.31ms     44.06ms     28.62ms     11.21ms    50.00%
req/s           :    3349.43     3377.38     3359.68       12.21    75.00%
`;

const CALLS = 60_000;
const ANSWER_BYTES = 72;
const ALL_BYTES = CALLS * (5 + ANSWER_BYTES);

test('reads the figures that h2load prints', () => {
  expect(parseH2load(output(ALL_BYTES))).toEqual({
    requestsPerSecond: 13_396.7,
    succeeded: CALLS,
    dataBytes: ALL_BYTES,
  });
});

test('makes no figures out of other words', () => {
  const unable = 'Could not connect: Connection refused\n';

  expect(() => parseH2load(unable)).toThrow('Connection refused');
});

test('takes an answer for each call as proof', () => {
  const result = parseH2load(output(ALL_BYTES));

  expect(() => assertAllAnswered(result, CALLS, ANSWER_BYTES)).not.toThrow();
});

test('finds the call that was answered with an error, though h2load does not', () => {
  const result = parseH2load(output(ALL_BYTES - 5 - ANSWER_BYTES));

  expect(() => assertAllAnswered(result, CALLS, ANSWER_BYTES)).toThrow('bytes of messages');
});

test('finds the call that was not answered at all', () => {
  const result = { ...parseH2load(output(ALL_BYTES)), succeeded: CALLS - 1 };

  expect(() => assertAllAnswered(result, CALLS, ANSWER_BYTES)).toThrow('59999 were answered');
});

test('reads how long each call took', () => {
  const log = '1795349056296457\t200\t5206\n1795349056296458\t200\t5265\n';

  expect([...parseDurations(log)]).toEqual([5_206, 5_265]);
});

test('reads an empty log', () => {
  expect(parseDurations('')).toHaveLength(0);
});
