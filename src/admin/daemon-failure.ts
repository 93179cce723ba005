import { type Channel, connectivityState, type ServiceError, status } from '@grpc/grpc-js';
import { decodeErrorDetails, type ErrorDetails, STATUS_DETAILS_KEY } from '../rpc/error-details.ts';
import { CommandFailure } from './command-failure.ts';

/**
 * What a failed call means to the user of sigilctl.
 *
 * @param address as the user gave it
 */
export function daemonFailure(
  error: ServiceError,
  address: string,
  channel: Pick<Channel, 'getConnectivityState'>,
): CommandFailure {
  const details = detailsOf(error);
  if (details) {
    const { reason, violations, retryAfterMs } = details;
    return new CommandFailure(reason, error.details, { violations, retryAfterMs, cause: error });
  }
  const isConnected = channel.getConnectivityState(false) === connectivityState.READY;
  if (!isConnected || error.code === status.UNAVAILABLE) return unreachable(error, address);
  if (error.code === status.DEADLINE_EXCEEDED) return stalled(address, error);
  return new CommandFailure(status[error.code] ?? 'UNKNOWN', error.details, { cause: error });
}

/** Around what grpc-js 1.14 says of a connection that was not made. */
const CONNECTION_ERROR = /Last error: (?:Error: )?(?<why>.*?)\. Resolution note:/s;

function unreachable(error: ServiceError, address: string): CommandFailure {
  const why = CONNECTION_ERROR.exec(error.details)?.groups?.['why'] ?? error.details;
  return new CommandFailure(
    'DAEMON_UNREACHABLE',
    `the daemon at ${address} cannot be reached: ${why}`,
    {
      nextStep: 'is it running, and is the address the one of its configuration?',
      cause: error,
    },
  );
}

/** What a daemon that does not answer in time means to the user of sigilctl. */
export function stalled(address: string, error?: ServiceError): CommandFailure {
  return new CommandFailure(
    'DEADLINE_EXCEEDED',
    `the daemon at ${address} is there, but has not answered in time`,
    { nextStep: 'is its token slow or stuck? --timeout-ms waits longer', cause: error },
  );
}

/** @returns undefined for what another program than sigild answers, or nobody */
function detailsOf({ metadata }: ServiceError): ErrorDetails | undefined {
  const [bytes] = metadata.get(STATUS_DETAILS_KEY);
  if (!Buffer.isBuffer(bytes)) return undefined;
  try {
    return decodeErrorDetails(bytes);
  } catch {
    return undefined;
  }
}
