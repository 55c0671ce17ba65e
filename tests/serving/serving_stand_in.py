"""A small stand-in for TF Serving: python serving_stand_in.py BASE_PATH [MODEL_NAME]

Serves the newest version under BASE_PATH over gRPC and REST on loopback, and prints one JSON object
with both ports when it is ready. It loads the SavedModel with TensorFlow's C++ loader, replays the
warm-up requests first, and does not check the shapes of what clients send, as TF Serving does. It
needs only TensorFlow and the stubs of tensorflow-serving-api.
"""

import base64
import json
import re
import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc as service_grpc


class RefusedError(Exception):
    """A request that cannot be answered."""


class Model:
    """The newest version of a model, run in a session of the C++ loader."""

    def __init__(self, base: Path):
        versions = [int(path.name) for path in base.iterdir() if path.name.isdecimal()]
        folder = base / str(max(versions))
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            meta = tf.compat.v1.saved_model.load(self._session, ["serve"], str(folder))
        self._calls, self.inputs = {}, {}
        for name, signature in meta.signature_def.items():
            if name.startswith("__"):
                continue
            tensor = self._session.graph.get_tensor_by_name
            feeds = {key: tensor(info.name) for key, info in signature.inputs.items()}
            fetches = {key: tensor(info.name) for key, info in signature.outputs.items()}
            # Unlike Session.run, a callable hands feeds to the C++ session as they are.
            call = self._session.make_callable(list(fetches.values()), list(feeds.values()))
            self._calls[name] = (feeds, list(fetches), call)
            self.inputs[name] = {key: feed.dtype for key, feed in feeds.items()}
        for record in tf.compat.v1.io.tf_record_iterator(
            str(folder / "assets.extra" / "tf_serving_warmup_requests")
        ):
            log = prediction_log_pb2.PredictionLog.FromString(record)
            self.answer(log.predict_log.request)

    def run(self, name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs of a signature, for inputs of the right types."""
        feeds, outputs, call = self._calls[name]
        values = call(*[inputs[key] for key in feeds])
        return dict(zip(outputs, values, strict=True))

    def signature(self, name: str, given: set[str]) -> str:
        """The name of the signature; refuses an unknown name and wrong names of inputs."""
        name = name or "serving_default"
        if name not in self.inputs:
            raise RefusedError(f'Serving signature name: "{name}" not found')
        if given != set(self.inputs[name]):
            raise RefusedError(f"inputs must be {sorted(self.inputs[name])}, got {sorted(given)}")
        return name

    def answer(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        """The answer to a gRPC request."""
        name = self.signature(request.model_spec.signature_name, set(request.inputs))
        inputs = {key: tf.make_ndarray(proto) for key, proto in request.inputs.items()}
        for key, dtype in self.inputs[name].items():
            if request.inputs[key].dtype != dtype.as_datatype_enum:
                got = tf.as_dtype(request.inputs[key].dtype).name
                raise RefusedError(f"input {key} is of type {got}, expected {dtype.name}")
        response = predict_pb2.PredictResponse()
        for key, value in self.run(name, inputs).items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return response


class Grpc(service_grpc.PredictionServiceServicer):
    """PredictionService.Predict."""

    def __init__(self, model: Model):
        self._model = model

    def Predict(self, request, context):  # noqa: N802
        """Runs a signature."""
        try:
            return self._model.answer(request)
        except (RefusedError, tf.errors.InvalidArgumentError, ValueError) as e:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(e))


class Rest(BaseHTTPRequestHandler):
    """POST /v1/models/NAME[/versions/N]:predict, in the columnar format."""

    model: Model
    model_name: str

    def do_POST(self):
        """Runs a signature."""
        try:
            if not re.fullmatch(
                rf"/v1/models/{self.model_name}(/versions/\d+)?:predict", self.path
            ):
                raise RefusedError(f"Malformed request: POST {self.path}")
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = 200, self._predict(json.loads(body))
        except (RefusedError, tf.errors.InvalidArgumentError, ValueError, TypeError, KeyError) as e:
            status, answer = 400, json.dumps({"error": str(e)}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _predict(self, request: dict) -> bytes:
        given = request["inputs"]
        name = self.model.signature(request.get("signature_name", ""), set(given))
        inputs = {}
        for key, dtype in self.model.inputs[name].items():
            inputs[key] = _from_json(given[key], dtype)
        outputs = self.model.run(name, inputs)
        plain = {key: _to_json(key, value) for key, value in outputs.items()}
        if len(plain) == 1:
            (plain,) = plain.values()
        # Strings that are not base64 are sent as their bytes, whether or not these are UTF-8.
        return json.dumps({"outputs": plain}, ensure_ascii=False).encode("latin-1")

    def log_message(self, *args):
        """Writes no log."""


def _from_json(value, dtype: tf.DType) -> np.ndarray:
    if dtype == tf.string:
        return np.array([base64.b64decode(item["b64"]) for item in value], object)
    array = np.array(value)
    if array.dtype.kind not in "if" or (dtype.is_integer and array.dtype.kind == "f"):
        raise RefusedError(f"JSON Value: {value!r} is not of expected type: {dtype.name}")
    return array.astype(dtype.as_numpy_dtype)


def _to_json(name: str, value: np.ndarray):
    if value.dtype != object:
        return value.tolist()
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(item).decode()} for item in value]
    return [item.decode("latin-1") for item in value]


def main() -> None:
    """Serves until its standard input is closed."""
    model = Model(Path(sys.argv[1]))
    server = grpc.server(
        futures.ThreadPoolExecutor(2),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    service_grpc.add_PredictionServiceServicer_to_server(Grpc(model), server)
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    Rest.model, Rest.model_name = model, (sys.argv[2] if len(sys.argv) > 2 else "biva")
    rest = ThreadingHTTPServer(("127.0.0.1", 0), Rest)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    print(json.dumps({"grpc": grpc_port, "rest": rest.server_address[1]}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
