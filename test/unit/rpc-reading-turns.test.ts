import { Socket } from 'node:net';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { ReadingTurns } from '../../src/rpc/reading-turns.ts';

const CALL = { calls: 1, bytes: 0 };

/** So many calls make a turn. */
const TURN = 16;

let nowMs: number;

beforeEach(() => {
  nowMs = 1_000;
  resumed = [];
  vi.useFakeTimers({ toFake: ['setTimeout', 'setImmediate'] });
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  onTestFinished(() => {
    clock.mockRestore();
    vi.useRealTimers();
  });
});

/** Connections that were read again, in that order. */
let resumed: Socket[];

/** A connection whose handle tells whether it is read. */
function connection() {
  const socket = new Socket();
  const handle = {
    reads: true,
    readStart: () => {
      handle.reads = true;
      resumed.push(socket);
    },
    readStop: () => {
      handle.reads = false;
    },
  };
  Reflect.set(socket, '_handle', handle);
  return { socket, reads: () => handle.reads };
}

function subject() {
  const turns = new ReadingTurns();
  const open = (client: string) => {
    const { socket, reads } = connection();
    turns.add(socket, client);
    return { socket, reads };
  };
  const ask = (client: string, count = 1, cost = CALL) => {
    for (let asked = 0; asked < count; asked += 1) turns.count(client, cost);
  };
  return { open, ask };
}

/** Lets the event loop end its turn. */
function endTurn(): void {
  vi.advanceTimersByTime(0);
}

test('a client that asks for little in a turn is read on', () => {
  const { open, ask } = subject();
  const { reads } = open('shop');

  for (let turn = 0; turn < 5; turn += 1) {
    ask('shop', TURN - 1);
    expect(reads()).toBe(true);
    endTurn();
  }
});

test('one that asks for much is not read from any connection until the turn is over', () => {
  const { open, ask } = subject();
  const greedy = [open('greedy'), open('greedy')];
  const other = open('other');

  ask('greedy', TURN);

  expect(greedy.map(({ reads }) => reads())).toEqual([false, false]);
  expect(other.reads()).toBe(true);
  endTurn();
  vi.runAllTimers();
  expect(greedy.map(({ reads }) => reads())).toEqual([true, true]);
});

test('while another client is active it waits as long as its turn took', () => {
  const { open, ask } = subject();
  const { reads } = open('greedy');
  open('other');
  ask('other');
  ask('greedy', TURN);
  nowMs += 8;
  endTurn();

  vi.advanceTimersByTime(7);
  expect(reads()).toBe(false);
  vi.advanceTimersByTime(1);
  expect(reads()).toBe(true);
});

test('where no other one is active it waits for one look at the others', () => {
  const { open, ask } = subject();
  const { reads } = open('greedy');
  open('other');
  ask('other');
  endTurn();
  ask('greedy');
  nowMs += 200;
  endTurn();
  ask('greedy', TURN);
  nowMs += 8;

  endTurn();
  vi.advanceTimersByTime(1);

  expect(reads()).toBe(true);
});

test('items of batches weigh less than calls', () => {
  const { open, ask } = subject();
  const { reads } = open('shop');

  ask('shop', 3, { calls: 128, bytes: 0 });
  expect(reads()).toBe(true);
  ask('shop', 1, { calls: 128, bytes: 0 });

  expect(reads()).toBe(false);
});

test('of its connections another one comes first each time', () => {
  const { open, ask } = subject();
  const [one, two] = [open('greedy').socket, open('greedy').socket];

  for (let turn = 0; turn < 3; turn += 1) {
    ask('greedy', TURN);
    endTurn();
    vi.runAllTimers();
  }

  expect(resumed).toEqual([one, two, two, one, one, two]);
});

test('a connection that opens meanwhile is not read either', () => {
  const { open, ask } = subject();
  open('greedy');
  ask('greedy', TURN);

  const late = open('greedy');

  expect(late.reads()).toBe(false);
  endTurn();
  vi.runAllTimers();
  expect(late.reads()).toBe(true);
});

test('a client without a connection is nobody', () => {
  const { open, ask } = subject();
  const { socket } = open('shop');
  socket.emit('close');

  expect(() => ask('shop', TURN)).not.toThrow();
});
