import { join } from 'node:path';
import * as z from 'zod';
import { type TokenSelector, WARM_MODES } from '../domain/token-options.ts';
import type { TokenConfig } from './config.ts';
import {
  absolutePath,
  algorithm,
  demandOneOf,
  integer,
  map,
  ON_ANY_MAP,
  pattern,
  text,
  textOfBytes,
} from './fields.ts';
import { isTokenUriProblem, parseTokenUri, TOKEN_INFO_BYTES } from './token-uri.ts';

const uri = z.string('must be a PKCS#11 URI').superRefine((value, context) => {
  const result = parseTokenUri(value);
  if (isTokenUriProblem(result)) context.addIssue(result.problem);
});

const credentialName = text(
  'the name of a systemd credential: a file name, without slashes and colons',
  (value) => /^[\x21-\x7e]{1,255}$/.test(value) && !/^\.{1,2}$|[/:]/.test(value),
);

/** @param credentialsDirectory where systemd puts credentials; undefined when it passes none */
export function tokenSchema(credentialsDirectory: string | undefined) {
  return tokenDocument(credentialsDirectory).transform(
    ({ label, serial, uri, pinFile, pinCredential, ...settings }): TokenConfig => ({
      ...settings,
      selector: selectorOf(label, serial, uri),
      pin:
        pinFile === undefined
          ? { file: join(credentialsDirectory ?? '', pinCredential ?? ''), credential: true }
          : { file: pinFile, credential: false },
    }),
  );
}

function tokenDocument(credentialsDirectory: string | undefined) {
  return map({
    module: absolutePath,
    label: textOfBytes(TOKEN_INFO_BYTES.label).optional(),
    serial: textOfBytes(TOKEN_INFO_BYTES.serial).optional(),
    uri: uri.optional(),
    pinFile: absolutePath.optional(),
    pinCredential: credentialName
      .refine(
        () => credentialsDirectory !== undefined,
        '$CREDENTIALS_DIRECTORY is not set: systemd sets it for a unit with LoadCredential; ' +
          'elsewhere set it to the directory of the file, or use pinFile',
      )
      .optional(),
    hosts: integer(1, 16).default(2),
    sessionsPerHost: integer(1, 64).default(4),
    startTimeoutMs: integer(1_000, 60_000).default(15_000),
    callTimeoutMs: integer(100, 60_000).default(5_000),
    warmKeys: z.enum(WARM_MODES, `must be one of ${WARM_MODES.join(', ')}`).default('auto'),
    adopt: z
      .array(map({ label: pattern, algorithm }), 'must be a list of maps of label, algorithm')
      .default([]),
  }).superRefine((token, context) => {
    demandOneOf(['label', 'serial', 'uri'], token, context);
    demandOneOf(['pinFile', 'pinCredential'], token, context);
  }, ON_ANY_MAP);
}

function selectorOf(
  label: string | undefined,
  serial: string | undefined,
  uri: string | undefined,
): TokenSelector {
  if (label !== undefined) return { label };
  if (serial !== undefined) return { serial };
  const selector = parseTokenUri(uri ?? '');
  if (isTokenUriProblem(selector)) throw new Error('the schema lets no such URI through');
  return selector;
}
