import type { DestroyDelays } from '../domain/destroy-delay.ts';
import type { Key } from '../domain/key.ts';
import type { AccessPolicy } from './access-policy.ts';
import type { ImportKeyRegister } from './import-key-register.ts';
import { KeyCatalog } from './key-catalog.ts';
import { KeyDestruction } from './key-destruction.ts';
import { KeyImport } from './key-import.ts';
import { KeyLifecycle } from './key-lifecycle.ts';
import { KeyService } from './key-service.ts';
import { KeySettingsService } from './key-settings.ts';
import type { Token } from './ports.ts';
import { Rehearsal, type RehearsedToken } from './rehearsal.ts';
import { SigningService, type SigningServiceOptions } from './signing-service.ts';
import { Turns } from './turns.ts';

/** What changes keys. */
export interface ChangingServices {
  readonly keys: Pick<KeyService, 'createKey'>;
  readonly lifecycle: Pick<KeyLifecycle, 'rotateKey' | 'updateKeyVersion'>;
  readonly settings: Pick<KeySettingsService, 'updateKey'>;
  readonly destruction: Pick<KeyDestruction, 'scheduleDestroy' | 'restore'>;
  readonly imports: Pick<KeyImport, 'importKey'>;
}

export interface DryRunsOptions
  extends DestroyDelays,
    Pick<SigningServiceOptions, 'enabledAlgorithms' | 'maxDataBytes'> {
  readonly token: RehearsedToken;
  /** The daemon's own. */
  readonly catalog: Pick<KeyCatalog, 'confirm'>;
  readonly policy: AccessPolicy;
  readonly minRotationPeriodMs: number;
  readonly lookupTimeoutMs: number;
  /** Of the service whose imports are tried. */
  readonly importKeys: Pick<ImportKeyRegister, 'add' | 'check'>;
}

/**
 * Tries requests: the services do their work on a {@link Rehearsal} of the token, and read the token
 * anew for it. They wait for no change that is under way.
 */
export class DryRuns {
  readonly #options: DryRunsOptions;

  constructor(options: DryRunsOptions) {
    this.#options = options;
  }

  /**
   * For one request, which signs nothing and finds no signature valid. However many there are, they
   * read no key more often than {@link KeyCatalog.confirm} does.
   */
  signing(): Pick<SigningService, 'sign' | 'verify'> {
    const { catalog } = this.#options;
    return new SigningService(this.#rehearse((name, signal) => catalog.confirm(name, signal)));
  }

  /**
   * @param change what the request asks for
   * @returns the key as the change would leave it
   * @throws {SigildError} as the change
   */
  async change(change: (services: ChangingServices) => Promise<Key>): Promise<Key> {
    const shared = this.#rehearse();
    const { importKeys } = this.#options;
    const lifecycle = new KeyLifecycle(shared);
    const key = await change({
      keys: new KeyService(shared),
      lifecycle,
      settings: new KeySettingsService(shared),
      destruction: new KeyDestruction({ ...shared, onDestroyed: () => undefined }),
      imports: new KeyImport({
        ...{ ...shared, lifecycle },
        importKeys: {
          add: (...entry) => importKeys.add(...entry),
          take: (...entry) => importKeys.check(...entry),
        },
      }),
    });
    return shared.token.shown(key);
  }

  #rehearse(findKey?: Token['findKey']) {
    const { policy, enabledAlgorithms, maxDataBytes, lookupTimeoutMs } = this.#options;
    const { minRotationPeriodMs, destroyDelayMs, minDestroyDelayMs } = this.#options;
    const token = new Rehearsal(this.#options.token, findKey);
    // Whom the daemon tells of what it finds, it tells with its own reads.
    const catalog = new KeyCatalog({ token, lookupTimeoutMs, onAmbiguous: () => undefined });
    return {
      ...{ token, catalog, policy, enabledAlgorithms, maxDataBytes, turns: new Turns() },
      ...{ minRotationPeriodMs, destroyDelayMs, minDestroyDelayMs },
    };
  }
}
