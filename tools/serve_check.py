"""Checks a server of an exported model: python -m tools.serve_check --target=localhost:8500

speaks TF Serving's gRPC API, or with --rest=localhost:8501 its REST API, or both. It asks for
samples, scores, reconstructions, codes and what they decode to, checks that they agree with each
other, sends requests that have to be refused, and prints a line for each check. It needs nothing of
the model but its server. Exits with 0 only if every check held.
"""

import sys

from absl import app, flags

from tools.serving_checks import FailedError, GrpcClient, RefusedError, RestClient, checks

_TARGET = flags.DEFINE_string("target", None, "host:port of the gRPC API.")
_REST = flags.DEFINE_string("rest", None, "host:port of the REST API.")
_MODEL_NAME = flags.DEFINE_string("model_name", "biva", "The name that the server gives the model.")
_TIMEOUT = flags.DEFINE_float("timeout", 60.0, "Seconds to wait for an answer.", lower_bound=0.0)
flags.register_validator(
    "target", lambda target: target or _REST.value, message="expected --target or --rest"
)


def main(argv: list[str]) -> int:
    """The command; the exit code."""
    del argv
    clients, of_all = {}, (_MODEL_NAME.value, _TIMEOUT.value)
    if _TARGET.value:
        clients[f"gRPC {_TARGET.value}"] = GrpcClient(_TARGET.value, *of_all)
    if _REST.value:
        clients[f"REST {_REST.value}"] = RestClient(_REST.value, *of_all)
    for name, client in clients.items():
        print(name)
        try:
            for found in checks(client):
                print(f"  ok  {found}", flush=True)
        except (FailedError, RefusedError) as e:
            print(f"serve_check: {name}: {e}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    app.run(main)
