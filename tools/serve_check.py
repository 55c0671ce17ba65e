"""Checks a server of an exported model: python -m tools.serve_check --target=localhost:8500

speaks TF Serving's gRPC API, or with --rest=localhost:8501 its REST API, or both. It asks for
samples, scores, reconstructions, codes and what they decode to, checks that they agree with each
other, sends requests that the server has to refuse, and prints a line for each check. It needs only
the server, and nothing else of the model. It exits with 0 only if every check held.
"""

import dataclasses
import sys

from biva_tf.commands.start import start
from biva_tf.errors import SettingsError
from biva_tf.settings import setting
from tools.serving.checks import FailedError, GrpcClient, RefusedError, RestClient, checks


@dataclasses.dataclass(frozen=True)
class ServeCheckSettings:
    """The settings of `python -m tools.serve_check`."""

    target: str | None = setting(None, "host:port of the gRPC API.")
    rest: str | None = setting(None, "host:port of the REST API.")
    model_name: str = setting("biva", "The name that the server gives the model.")
    timeout: float = setting(60.0, "Seconds to wait for an answer.", lower=0.0)

    def __post_init__(self):
        if not (self.target or self.rest):
            raise SettingsError("expected --target or --rest")


def run(settings: ServeCheckSettings) -> bool:
    """Checks the server over each API, and prints what was found; whether every check held."""
    clients, of_all = {}, (settings.model_name, settings.timeout)
    if settings.target:
        clients[f"gRPC {settings.target}"] = GrpcClient(settings.target, *of_all)
    if settings.rest:
        clients[f"REST {settings.rest}"] = RestClient(settings.rest, *of_all)
    for name, client in clients.items():
        print(name)
        try:
            for found in checks(client):
                print(f"  ok  {found}", flush=True)
        except (FailedError, RefusedError) as e:
            print(f"serve_check: {name}: {e}", file=sys.stderr)
            return False
    return True


if __name__ == "__main__":
    start("serve_check", ServeCheckSettings, lambda settings: 0 if run(settings) else 1)
