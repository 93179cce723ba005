import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { v1 } from '../../src/rpc/proto.ts';
import { connectClient } from '../../test/support/client.ts';
import { type Load, type LoadSample, makeCalls } from './h2load.ts';
import { cpuSeconds } from './process-figures.ts';
import { inTurns, type Sample, speedRatio, toRow } from './rounds.ts';
import type { Context, Outcome, Scenario } from './scenario.ts';
import { type MeasuredServer, startEmpty, startSigild } from './servers.ts';
import { KEY, type Message, randomMessage, useKey } from './signing.ts';

/** Calls that make a server's code warm: the first few tell how fast it is. */
const WARM_UP_CALLS = [1_000, 20_000];
const LEAST_CALLS = 1_000;

/** A run may take this many times as long as the speed of the one before lets expect. */
const PATIENCE = 10;
const LEAST_PATIENCE_MS = 30_000;

const US_PER_SECOND = 1e6;

/** Many callers at once. */
export const unary: Scenario = {
  name: 'unary',
  summary: 'Sign as fast as 64 callers can on 4 connections, beside servers that do no work',
  async run(context: Context): Promise<Outcome> {
    const { resources } = context;
    const sigild = await startSigild('unary', resources);
    const emptyService = await startEmpty('service', resources);
    const emptyServer = await startEmpty('server', resources);
    const loads = new Map<MeasuredServer, UnaryLoad>();
    for (const server of [sigild, emptyService, emptyServer]) {
      context.progress(`warming up: ${server.name}`);
      loads.set(server, await UnaryLoad.prepare(server, context));
    }
    const samples = await inTurns([...loads.values()], context, (load) => load.run());
    
    return {};
  },
};
