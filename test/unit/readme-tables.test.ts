import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { EXIT_STATUS } from '../../src/admin/exit-status.ts';
import { documentSchema } from '../../src/config/document-schema.ts';
import {
  AGREEMENT_ALGORITHM_NAMES,
  AGREEMENT_ALGORITHMS,
  DIGEST_BYTES,
  MAC_ALGORITHM_NAMES,
  MAC_ALGORITHMS,
  PAIR_ALGORITHM_NAMES,
  PAIR_ALGORITHMS,
} from '../../src/domain/algorithm.ts';
import { ERROR_REASONS, SigildError } from '../../src/domain/errors.ts';
import { EXIT_CODES } from '../../src/lifecycle/exit-codes.ts';
import { MECHANISMS } from '../../src/pkcs11/mechanisms.ts';
import { PAIR_MECHANISMS } from '../../src/pkcs11/pair-mechanisms.ts';
import { v1 } from '../../src/rpc/proto.ts';
import { toStatus } from '../../src/rpc/status.ts';
import { load, MINIMAL } from '../support/config-file.ts';
import { README, tableUnder } from '../support/readme.ts';

const ROOT = join(import.meta.dirname, '../..');

describe('the table of errors', () => {
  test('has every reason with its code, in order', () => {
    const rows = tableUnder('Errors').map(([reason, code]) => [reason, code]);

    expect(rows).toEqual(
      ERROR_REASONS.map((reason) => [reason, status[toStatus(new SigildError(reason, '')).code]]),
    );
  });
});

describe('the table of exit codes', () => {
  const codes = (column: number) =>
    tableUnder('Exit codes')
      .filter((row) => row[column] !== '')
      .map(([code]) => Number(code));

  test('has every code of the daemon', () => {
    expect(codes(1)).toEqual(Object.values(EXIT_CODES));
  });

  test('has every code of sigilctl', () => {
    expect(codes(2)).toEqual(Object.values(EXIT_STATUS).map(({ code }) => code));
  });
});

test('the table of the API has every method', () => {
  const methods = Object.entries({
    SigningService: v1.SigningService,
    KeyService: v1.KeyService,
  }).flatMap(([name, { service }]) => Object.keys(service).map((method) => `${name}.${method}`));

  expect(tableUnder('API').map(([method]) => method)).toEqual(expect.arrayContaining(methods));
  expect(tableUnder('API')).toHaveLength(methods.length);
});

test('the table of algorithms has every one of MACs with its lengths and its mechanism', () => {
  const rows = tableUnder('Algorithms').map(([name = '', mac, key, mechanism]) => [
    name.split(',')[0],
    ...[mac, key, mechanism],
  ]);

  expect(rows).toEqual(
    MAC_ALGORITHM_NAMES.map((algorithm) => {
      const { macBytes, keyBytes } = MAC_ALGORITHMS[algorithm];
      return [algorithm, `${macBytes} bytes`, `${keyBytes} bytes`, MECHANISMS[algorithm].name];
    }),
  );
});

test('the table of key pairs has every algorithm with its signatures and its mechanism', () => {
  const rows = tableUnder('Key pairs').flatMap(([names = '', digest, signature, mechanism]) =>
    names.split(', ').map((name) => [name, digest, signature, mechanism]),
  );

  const expected = PAIR_ALGORITHM_NAMES.map((algorithm) => {
    const { hash, signatureBytes } = PAIR_ALGORITHMS[algorithm];
    const digest = hash === undefined ? 'none' : `${DIGEST_BYTES[hash]} bytes`;
    return [algorithm, digest, `${signatureBytes} bytes`, PAIR_MECHANISMS[algorithm].signing.name];
  });
  expect(rows.sort()).toEqual(expected.sort());
});

test('the table of agreed keys has every algorithm with its secret and its MAC', () => {
  const expected = AGREEMENT_ALGORITHM_NAMES.map((algorithm) => {
    const { curve, mac, secretBytes, macBytes } = AGREEMENT_ALGORITHMS[algorithm];
    return [algorithm, curve, `${secretBytes} bytes`, mac, `${macBytes} bytes`];
  });
  expect(tableUnder('HMAC with an agreed key')).toEqual(expected);
});

describe('the table of settings', () => {
  const rows = tableUnder('Configuration');
  const settings = settingsOf(
    z.toJSONSchema(documentSchema(''), { io: 'input', unrepresentable: 'any' }) as Schema,
  );

  test('has every setting and no other, in order', () => {
    expect(rows.map(([path]) => path)).toEqual(settings.map(({ path }) => path));
  });

  test.each(settings)('has the default and the bounds of $path', ({ path, schema, isRequired }) => {
    const [, shownDefault, shownRange = ''] = rows.find(([name]) => name === path) ?? [];
    const { default: value, minimum, maximum, enum: names = [] } = schema;

    if (isRequired) expect(shownDefault).toBe('required');
    if (value !== undefined) expect(shownDefault).toBe(textOf(value));
    if (minimum !== undefined) expect(shownRange).toBe(`${minimum} to ${maximum}`);
    if (value !== undefined && names.length > 0) expect(shownRange).toBe(names.join(', '));
  });

  test('has the mode that sockets get', () => {
    const mode = rows.find(([path]) => path === 'listeners[].mode');

    const [listener] = load(MINIMAL).listeners;

    expect(listener?.address).toMatchObject({ mode: Number.parseInt(mode?.[1] ?? '', 8) });
  });
});

test('every file that it links to is there', () => {
  const links = [...README.matchAll(/\]\((?<target>[^)#:]+)\)/g)].map(
    ({ groups }) => groups?.['target'],
  );

  expect(links.length).toBeGreaterThan(0);
  expect(links.filter((target) => !existsSync(join(ROOT, target ?? '')))).toEqual([]);
});

test('every npm script that it names is there', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

  const named = [...README.matchAll(/npm run (?<name>[\w:]+)/g)].map(
    ({ groups }) => groups?.['name'],
  );

  expect(Object.keys(scripts)).toEqual(expect.arrayContaining(named));
});

test('the folders of its table are those of the sources', () => {
  const named = tableUnder('The code')
    .flatMap(([folders = '']) => folders.split(', '))
    .filter((path) => !existsSync(join(ROOT, path)));

  expect(named).toEqual([]);
});

/** A JSON schema, as far as the configuration needs it. */
interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
}

interface Setting {
  /** As the README writes it, for instance `listeners[].tls.key`. */
  readonly path: string;
  readonly schema: Schema;
  readonly isRequired: boolean;
}

/** Every setting; a map of settings that may be left out as a whole is none itself. */
function settingsOf({ properties = {}, required = [] }: Schema, prefix = ''): Setting[] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const path = prefix + name;
    const { items } = schema;
    const isRequired = required.includes(name);
    if (items?.properties) {
      return [{ path, schema, isRequired }, ...settingsOf(items, `${path}[].`)];
    }
    if (!schema.properties) return [{ path, schema, isRequired }];
    const isItem = prefix.endsWith('[].');
    return [...(isItem ? [{ path, schema, isRequired }] : []), ...settingsOf(schema, `${path}.`)];
  });
}

function textOf(value: unknown): string {
  return Array.isArray(value) && value.length > 0
    ? value.join(', ')
    : JSON.stringify(value).replaceAll('"', '');
}
