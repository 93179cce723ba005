import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { SoftHsm } from '../../test/support/softhsm.ts';
import { type CryptokiLoad, type CryptokiModule, cryptokiLoads } from './cryptoki-load.ts';
import type { Resources } from './resources.ts';
import type { Context } from './scenario.ts';
import type { SignedMessage } from './signing-client.ts';
import { startProgram } from './start-program.ts';

const LIBRARIES = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
const CLIENT_MODULES = [LIBRARIES, '/usr/lib', '/usr/lib64'].map((folder) =>
  join(folder, 'pkcs11/p11-kit-client.so'),
);

/** The C program that reaches the token by `p11-kit server`, with both kinds of objects. */
export async function p11KitLoads(
  token: SoftHsm,
  message: SignedMessage,
  context: Context,
): Promise<CryptokiLoad[]> {
  const module = await startP11Kit(token, context.resources);
  return (['session', 'token'] as const).flatMap((keyObject) => {
    const kind = { name: `p11-kit ${keyObject}-object`, wayOf: 'p11-kit', module, keyObject };
    return cryptokiLoads(kind, { token, message, context });
  });
}

/** Has `p11-kit server` offer the token on a unix socket. @returns the module that talks to it */
async function startP11Kit(
  { module, label, environment }: SoftHsm,
  resources: Resources,
): Promise<CryptokiModule> {
  const file = CLIENT_MODULES.find((path) => existsSync(path));
  if (file === undefined) throw new Error(`none of ${CLIENT_MODULES.join(', ')} is there`);
  const { line } = await startProgram(
    ['p11-kit', 'server', '--foreground', '--provider', module, `pkcs11:token=${label}`],
    resources,
    // Its socket is in there.
    { ...environment, XDG_RUNTIME_DIR: resources.temporaryFolder() },
  );
  return {
    file,
    environment: { ...process.env, P11_KIT_SERVER_ADDRESS: parseServerAddress(line) },
  };
}

/** @param line what the server prints for a shell to evaluate @throws {Error} when it is another */
export function parseServerAddress(line: string): string {
  const address = /^P11_KIT_SERVER_ADDRESS=(?<address>[^;]+);/.exec(line)?.groups?.['address'];
  if (address === undefined) throw new Error(`p11-kit server does not tell its address: ${line}`);
  return address;
}
