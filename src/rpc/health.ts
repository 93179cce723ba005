import type { Server, ServerWritableStream, UntypedServiceImplementation } from '@grpc/grpc-js';
import { HealthImplementation, type ServingStatus } from 'grpc-health-check';

/** The whole server and each service; they share one token and so one state. */
const SERVICES = ['', 'sigild.v1.SigningService', 'sigild.v1.KeyService'] as const;

type WatchCall = ServerWritableStream<
  { readonly service: string },
  { readonly status: ServingStatus | 'SERVICE_UNKNOWN' }
>;

/** grpc.health.v1, NOT_SERVING until it is told otherwise. */
export class Health {
  readonly #implementation = new HealthImplementation(
    Object.fromEntries(SERVICES.map((service) => [service, 'NOT_SERVING'])),
  );
  readonly #watches = new Set<WatchCall>();
  #ending = false;

  setServing(serving: boolean): void {
    for (const service of SERVICES) {
      this.#implementation.setStatus(service, serving ? 'SERVING' : 'NOT_SERVING');
    }
  }

  addTo(server: Pick<Server, 'addService'>): void {
    this.#implementation.addToServer({
      addService: (definition, handlers: UntypedServiceImplementation) => {
        const watch = handlers['watch'] as (call: WatchCall) => void;
        server.addService(definition, {
          ...handlers,
          watch: (call: WatchCall) => this.#watch(call, watch),
        });
      },
    });
  }

  /** Ends the Watch streams that are open and those still to come, which else never end. */
  endWatches(): void {
    this.#ending = true;
    for (const call of this.#watches) call.end();
  }

  #watch(call: WatchCall, watch: (call: WatchCall) => void): void {
    this.#watches.add(call);
    call.once('cancelled', () => this.#watches.delete(call));
    // grpc-health-check 2.1 keeps every name that was ever watched: it sees the known ones only.
    if (SERVICES.some((service) => service === call.request.service)) watch(call);
    else call.write({ status: 'SERVICE_UNKNOWN' });
    if (this.#ending) call.end();
  }
}
