"""Clients for a server of an exported model, and the checks of `biva_tf.serve_check`."""

import base64
import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from typing import Protocol

import numpy as np
import tensorflow as tf

from biva_tf import extras

SignatureArrays = dict[str, np.ndarray]

_SEED = np.array([3, 0], np.int32)
_SAMPLE = {"num_samples": np.int32(4), "temperature": np.float32(0.9), "seed": _SEED}
_SCORE = {"k": np.int32(0), "num_importance_samples": np.int32(1), "seed": _SEED}


class RefusedError(Exception):
    """The server answered with an error."""


class FailedError(Exception):
    """A check failed, or the server did not answer."""


class Client(Protocol):
    """One of the server's APIs."""

    def call(self, signature: str, inputs: SignatureArrays) -> SignatureArrays:
        """Calls a signature and returns its outputs. Raises RefusedError if the server refuses."""


class GrpcClient:
    """A client of the gRPC API: PredictionService.Predict.

    Raises:
      MissingPackageError: grpcio or tensorflow-serving-api is not installed.
    """

    def __init__(self, target: str, model_name: str, timeout: float):
        extras.require("the gRPC API", "grpc", "tensorflow_serving")
        import grpc
        from tensorflow_serving.apis import prediction_service_pb2_grpc as service_grpc

        self._model_name, self._timeout = model_name, timeout
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._stub = service_grpc.PredictionServiceStub(grpc.insecure_channel(target, options))

    def call(self, signature: str, inputs: SignatureArrays) -> SignatureArrays:
        """See `Client.call`."""
        import grpc
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._model_name
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        try:
            response = self._stub.Predict(request, timeout=self._timeout)
        except grpc.RpcError as e:
            if e.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise FailedError(f"no answer: {e.details()}") from e
            raise RefusedError(f"{e.code().name}: {e.details()}") from e
        return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}


class RestClient:
    """A client of the REST API: POST /v1/models/NAME:predict, in the columnar format."""

    def __init__(self, target: str, model_name: str, timeout: float):
        self._url = f"http://{target}/v1/models/{model_name}:predict"
        self._timeout = timeout

    def call(self, signature: str, inputs: SignatureArrays) -> SignatureArrays:
        """See `Client.call`."""
        plain = {name: _to_json(value) for name, value in inputs.items()}
        body = json.dumps({"signature_name": signature, "inputs": plain}).encode()
        try:
            with urllib.request.urlopen(self._url, body, self._timeout) as response:
                answer = response.read()
        except urllib.error.HTTPError as e:
            raise RefusedError(f"HTTP {e.code}: {e.read().decode(errors='replace')}") from e
        except OSError as e:
            raise FailedError(f"no answer: {e}") from e
        # The server puts bytes into the JSON unencoded if the output's name does not end in _bytes.
        outputs = json.loads(answer.decode("latin-1"))["outputs"]
        if not isinstance(outputs, dict):  # a single output has no name
            outputs = {"": outputs}
        return {name: _from_json(value) for name, value in outputs.items()}


def _to_json(value: np.ndarray):
    if value.dtype == object:
        return [{"b64": base64.b64encode(item).decode()} for item in value]
    return value.tolist()


def _from_json(value) -> np.ndarray:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return np.array([base64.b64decode(item["b64"]) for item in value], object)
    if isinstance(value, list) and value and isinstance(value[0], str):
        return np.array([item.encode("latin-1") for item in value], object)
    return np.array(value, np.float32)


def checks(client: Client, classes: int = 0) -> Iterator[str]:
    """Runs the checks one after the other and yields the result of each.

    Args:
      client: the server's client.
      classes: the model's number of classes; 0 if it has none.

    Raises:
      FailedError: a check failed, or the server did not answer.
    """
    request = {**_SAMPLE, "label": np.int32(-1)} if classes else _SAMPLE
    sample = yield from _check_samples(client, request)
    pixels = np.rint(sample["images"] * 255)
    pictures = np.stack([tf.io.decode_png(png).numpy() for png in sample["images_png"]])
    _require(np.array_equal(pictures, pixels), "sample: images_png are not the images")
    # A binary model scores grey values as they are, and reads grey pictures in its own way.
    images = (pixels > pixels.mean()).astype(np.float32)
    encoded = [tf.io.encode_png((image * 255).astype(np.uint8)).numpy() for image in images]
    yield from _check_scores(client, images, np.array(encoded, object), classes)
    codes = yield from _check_latents(client, images)
    bad = bad_requests(images, codes, request)
    if classes:
        yield from _check_classes(client, images, request, classes)
        bad |= _bad_requests_of_classes(images, codes, request, classes)
    refused = _check_refusals(client, bad)
    _require(
        _equal(client.call("sample", request), sample),
        "sample: the samples changed after bad requests",
    )
    yield f"{refused} bad requests: each an error, and the server answers as before"


def _check_samples(
    client: Client, request: SignatureArrays
) -> Generator[str, None, SignatureArrays]:
    sample = client.call("sample", request)
    images = sample["images"]
    _require(images.ndim == 4 and images.shape[0] == 4, f"sample: images of {images.shape}")
    _require(_in_unit_range(images), "sample: images outside of [0, 1]")
    _require(
        _equal(client.call("sample", request), sample), "sample: one seed gave different samples"
    )
    other = client.call("sample", {**request, "seed": _SEED + 1})
    _require(not _equal(other, sample), "sample: two seeds gave the same samples")
    _require(_equal(client.call("", request), sample), "serving_default: it is not sample")
    encoded = _only(client.call("sample_png", request))
    _require(np.array_equal(encoded, sample["images_png"]), "sample_png: not the PNGs of sample")
    shape = "x".join(map(str, images.shape[1:]))
    yield f"sample: {len(images)} images of {shape}, repeatable by seed"
    return sample


def _check_scores(
    client: Client, images: np.ndarray, encoded: np.ndarray, classes: int
) -> Iterator[str]:
    score = client.call("score", {"images": images, **_SCORE})
    _require(all(np.isfinite(v).all() for v in score.values()), "score: a value is not finite")
    elbo = score["reconstruction_nats"] - score["kl_nats"].sum(axis=1)
    _require(np.allclose(score["elbo_nats"], elbo, rtol=1e-4), "score: L_1 is not its terms")
    if classes:  # the bound sums over the classes, which gives more
        more = bool((score["bound_nats"] >= elbo - 1e-3).all())
        _require(more, "score: the bound is below its ELBO")
    else:
        same = np.allclose(score["bound_nats"], elbo, rtol=1e-4)
        _require(same, "score: L_1 is not its terms")
    bits = -score["bound_nats"] / (images[0].size * np.log(2))
    _require(np.allclose(score["bits_per_dim"], bits, rtol=1e-4), "score: bits/dim and nats differ")
    _require(not score["llr_above_k_nats"].any(), "score: LLR^{>0} is not 0")
    alone = client.call("score", {"images": images[:1], **_SCORE})["bound_nats"]
    _require(
        np.allclose(alone, score["bound_nats"][:1], rtol=1e-4),
        "score: an image alone has another score than in a batch",
    )
    yield f"score: L_1 {score['bound_nats'].mean():.2f} nats, the sum of its terms"
    samples_and_k = {"num_importance_samples": np.int32(20), "k": np.int32(1)}
    many = client.call("score", {"images": images, **_SCORE, **samples_and_k})
    _require(bool((many["bound_nats"] >= many["elbo_nats"]).all()), "score: L_20 below its ELBO")
    llr = many["elbo_nats"] - many["elbo_above_k_nats"]
    _require(
        np.allclose(many["llr_above_k_nats"], llr, rtol=1e-3, atol=1e-2),
        "score: LLR^{>1} is not the difference of its bounds",
    )
    yield f"score: L_20 {many['bound_nats'].mean():.2f} nats, LLR^{{>1}} {llr.mean():.2f} nats"
    numbers = np.arange(len(images))[::-1]
    turned = client.call(
        "score_numbered", {"images": images[::-1], "numbers": numbers, **_SCORE, **samples_and_k}
    )
    turned = {name: values[::-1] for name, values in turned.items()}
    _require(close(turned, many), "score_numbered: the scores depend on the order of the images")
    yield "score_numbered: the same scores in another order"
    from_png = client.call("score_png", {"images_png": encoded, **_SCORE})
    _require(close(from_png, score), "score_png: another score than score gives")
    yield "score_png: the score of the same images"


def _check_latents(client: Client, images: np.ndarray) -> Generator[str, None, SignatureArrays]:
    top = {"levels": np.int32(1), "seed": _SEED}
    reconstructed = _only(client.call("reconstruct", {"images": images, **top}))
    codes = client.call("encode", {"images": images})
    decoded = _only(client.call("decode", codes))
    for signature, answer in (("reconstruct", reconstructed), ("decode", decoded)):
        _require(answer.shape == images.shape, f"{signature}: images of {answer.shape}")
        _require(_in_unit_range(answer), f"{signature}: images outside of [0, 1]")
    yield f"reconstruct, encode, decode: {len(codes)} latents"
    return codes


def _check_classes(
    client: Client, images: np.ndarray, request: SignatureArrays, classes: int
) -> Iterator[str]:
    inputs = {"images": images, "num_samples": np.int32(3), "seed": _SEED}
    answer = client.call("classify", inputs)
    q_y, labels = answer["probabilities"], answer["labels"]
    _require(q_y.shape == (len(images), classes), f"classify: probabilities of {q_y.shape}")
    _require(np.allclose(q_y.sum(axis=1), 1, atol=1e-4), "classify: they do not sum to 1")
    _require(np.array_equal(labels, q_y.argmax(axis=1)), "classify: labels are not the largest")
    of_class = [client.call("sample", {**request, "label": np.int32(y)}) for y in range(classes)]
    _require(
        not any(_equal(*pair) for pair in itertools.combinations(of_class, 2)),
        "sample: two classes gave the same samples",
    )
    yield f"classify, sample of a label: {classes} classes"


def _bad_requests_of_classes(
    images: np.ndarray, codes: SignatureArrays, request: SignatureArrays, classes: int
) -> dict[str, tuple[str, SignatureArrays]]:
    inputs = {"images": images, "num_samples": np.int32(0), "seed": _SEED}
    return {
        "a label too large": ("sample", {**request, "label": np.int32(classes)}),
        "a label below -1": ("sample", {**request, "label": np.int32(-2)}),
        "no samples to classify with": ("classify", inputs),
        "a class of a wrong shape": ("decode", {**codes, "y": codes["y"][:, :-1]}),
    }


def bad_requests(
    images: np.ndarray, codes: SignatureArrays, sample: SignatureArrays
) -> dict[str, tuple[str, SignatureArrays]]:
    """(Signature, inputs) by what is wrong with them."""
    score, latent = {"images": images, **_SCORE}, next(iter(codes))
    wrong_size = np.zeros((images.shape[1] + 1, *images.shape[2:]), np.uint8)
    wrong_png = np.array([tf.io.encode_png(wrong_size).numpy()], object)
    no_png = np.array([b"no image"], object)
    # The header of a PNG of 20000x20000 pixels.
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0\0\x4e\x20" * 2 + b"\x08\0\0\0\0"
    large_png = np.array([header], object)
    return {
        "images of a wrong shape": ("score", {**score, "images": images[:, 1:]}),
        "images of a wrong rank": ("score", {**score, "images": images[0]}),
        "images of a wrong type": ("score", {**score, "images": images.astype(str)}),
        "images above 1": ("score", {**score, "images": images + 2}),
        "no images": ("encode", {"images": images[:0]}),
        "a number too few": ("score_numbered", {**score, "numbers": np.arange(len(images) - 1)}),
        "a number below 0": ("score_numbered", {**score, "numbers": np.arange(len(images)) - 1}),
        "a k too large": ("score", {**score, "k": np.int32(10_000)}),
        "a k below 0": ("score", {**score, "k": np.int32(-1)}),
        "endless importance samples": (
            "score",
            {**score, "num_importance_samples": np.int32(2**31 - 1)},
        ),
        "a seed of a wrong shape": ("score", {**score, "seed": np.zeros(3, np.int32)}),
        "no importance samples": ("score", {**score, "num_importance_samples": np.int32(0)}),
        "no samples": ("sample", {**sample, "num_samples": np.int32(0)}),
        "too many samples": ("sample", {**sample, "num_samples": np.int32(2**31 - 1)}),
        "a temperature without end": ("sample", {**sample, "temperature": np.float32(1e30)}),
        "a temperature below 0": ("sample", {**sample, "temperature": np.float32(-1)}),
        "bytes that are no image": ("score_png", {"images_png": no_png, **_SCORE}),
        "no bytes": ("score_png", {"images_png": np.array([b""], object), **_SCORE}),
        "an image too large to decode": ("score_png", {"images_png": large_png, **_SCORE}),
        "an image of a wrong size": ("score_png", {"images_png": wrong_png, **_SCORE}),
        "no levels": ("reconstruct", {"images": images, "levels": np.int32(0), "seed": _SEED}),
        "a latent of a wrong shape": ("decode", {**codes, latent: codes[latent][:, :-1]}),
        "an input missing": ("sample", {"seed": _SEED}),
        "an unknown signature": ("nonsense", sample),
    }


def _check_refusals(client: Client, bad: dict[str, tuple[str, SignatureArrays]]) -> int:
    for case, (signature, inputs) in bad.items():
        try:
            client.call(signature, inputs)
        except RefusedError:
            continue
        raise FailedError(f"{case}: expected an error of {signature}, got an answer")
    return len(bad)


def _only(outputs: SignatureArrays) -> np.ndarray:
    (value,) = outputs.values()
    return value


def _in_unit_range(images: np.ndarray) -> bool:
    return bool((images >= 0).all() and (images <= 1).all())


def _equal(a: SignatureArrays, b: SignatureArrays) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


def close(a: SignatureArrays, b: SignatureArrays) -> bool:
    """Whether two answers are the same, numbers up to rounding."""
    return a.keys() == b.keys() and all(_close(a[key], b[key]) for key in a)


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype == object:  # strings
        return np.array_equal(a, b)
    return np.allclose(a, b, rtol=1e-4, atol=1e-4)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise FailedError(message)
