"""Makes one call to a sigild as any Python service would: with grpcio and generated stubs.

python_client.py STUBS ADDRESS METHOD REQUEST [CA CERTIFICATE KEY]

STUBS is the folder of the generated stubs and REQUEST a message in proto3 JSON, or a list of them for
a method whose client streams. Prints the answer in
proto3 JSON, or an object with the error's gRPC code and the reason of its google.rpc.ErrorInfo.
"""

import json
import sys

stubs, address, method, request, *tls_files = sys.argv[1:]
sys.path.insert(0, stubs)

import grpc
from google.protobuf import json_format
from google.rpc import status_pb2
from health.v1 import health_pb2, health_pb2_grpc
from sigild.v1 import keys_pb2, keys_pb2_grpc, signing_pb2, signing_pb2_grpc

DEADLINE_S = 15

METHODS = {
    "CreateKey": (keys_pb2_grpc.KeyServiceStub, keys_pb2.CreateKeyRequest),
    "Sign": (signing_pb2_grpc.SigningServiceStub, signing_pb2.SignRequest),
    "Verify": (signing_pb2_grpc.SigningServiceStub, signing_pb2.VerifyRequest),
    "SignStream": (signing_pb2_grpc.SigningServiceStub, signing_pb2.SignStreamRequest),
    "VerifyStream": (signing_pb2_grpc.SigningServiceStub, signing_pb2.VerifyStreamRequest),
    "Check": (health_pb2_grpc.HealthStub, health_pb2.HealthCheckRequest),
}


def connect():
    if not tls_files:
        return grpc.insecure_channel(address)
    ca, certificate, key = (open(file, "rb").read() for file in tls_files)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, certificate))


def reason_of(error):
    for name, value in error.trailing_metadata():
        if name == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                info = status_pb2.ErrorInfo()
                if detail.Unpack(info) and info.domain == "sigild":
                    return info.reason
    return None


stub, message = METHODS[method]


def parsed(text):
    value = json.loads(text)
    if not isinstance(value, list):
        return json_format.ParseDict(value, message())
    return iter([json_format.ParseDict(item, message()) for item in value])


with connect() as channel:
    try:
        call = getattr(stub(channel), method)
        response = call(parsed(request), timeout=DEADLINE_S)
        print(json_format.MessageToJson(response))
    except grpc.RpcError as error:
        print(json.dumps({"code": error.code().value[0], "reason": reason_of(error)}))
