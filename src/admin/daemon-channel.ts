/**
 * Every call of sigild.v1 is safe to repeat, what makes keys by its request id: one that a
 * broken connection or a lost token ended was made twice more at most, within its deadline.
 */
const SERVICE_CONFIG = {
  methodConfig: [
    {
      name: [{ service: 'sigild.v1.KeyService' }, { service: 'sigild.v1.SigningService' }],
      retryPolicy: {
        maxAttempts: 3,
        initialBackoff: '0.1s',
        maxBackoff: '1s',
        backoffMultiplier: 3,
        retryableStatusCodes: ['UNAVAILABLE'],
      },
    },
  ],
};

export const CHANNEL_OPTIONS = {
  'grpc.service_config': JSON.stringify(SERVICE_CONFIG),
  // A name server has no say in how calls are made, and a proxy none in what the daemon is told.
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
};
