import type { Config } from './config.ts';
import { documentSchema } from './document-schema.ts';
import { credentialsDirectory, type Environment } from './environment.ts';
import { readYamlFile } from './yaml-file.ts';

/**
 * Reads the configuration: see {@link readYamlFile}.
 *
 * @param environment where $CREDENTIALS_DIRECTORY says what `pinCredential` is relative to
 * @throws {ConfigError} when the file cannot be read or any part of it is wrong
 */
export function loadConfig(file: string, environment?: Environment): Config {
  const schema = documentSchema(credentialsDirectory(environment));
  return readYamlFile(file, schema, 'configuration');
}
