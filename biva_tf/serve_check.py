"""Checks a server of an exported model.

    python -m biva_tf.serve_check --target=localhost:8500 --rest=localhost:8501

--target is TF Serving's gRPC API, --rest its REST API; one of them is enough. The tool asks for
samples, scores, reconstructions, codes and the images that the codes decode to, and checks that
they agree with each other. It also sends requests that the server must refuse. It prints one line
for each check. It needs only the server, not the files of the model. The exit code is 0 only if
every check passed.
"""

import dataclasses
import sys

from biva_tf.commands.start import start
from biva_tf.errors import SettingsError
from biva_tf.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class ServeCheckSettings(Settings):
    """The settings of `python -m biva_tf.serve_check`."""

    target: str | None = setting(None, "host:port of the gRPC API.")
    rest: str | None = setting(None, "host:port of the REST API.")
    model_name: str = setting("biva", "The name that the server gives the model.")
    classes: int = setting(0, "The classes of the model; 0 if it has none.", lower=0)
    timeout: float = setting(60.0, "Seconds to wait for an answer.", above=0.0)

    def __post_init__(self):
        super().__post_init__()
        if not (self.target or self.rest):
            raise SettingsError("expected --target or --rest")


def run(settings: ServeCheckSettings) -> bool:
    """Checks the server over each API and prints the results; returns whether all checks passed."""
    from biva_tf.serving.checks import (
        Client,
        FailedError,
        GrpcClient,
        RefusedError,
        RestClient,
        checks,
    )

    clients: dict[str, Client] = {}
    options = settings.model_name, settings.timeout
    if settings.target:
        clients[f"gRPC {settings.target}"] = GrpcClient(settings.target, *options)
    if settings.rest:
        clients[f"REST {settings.rest}"] = RestClient(settings.rest, *options)
    for name, client in clients.items():
        print(name)
        try:
            for passed in checks(client, settings.classes):
                print(f"  ok  {passed}", flush=True)
        except (FailedError, RefusedError) as e:
            print(f"serve_check: {name}: {e}", file=sys.stderr)
            return False
    return True


def main() -> None:
    """Runs the command with the flags that it was given."""
    start("serve_check", ServeCheckSettings, lambda settings: 0 if run(settings) else 1)


if __name__ == "__main__":
    main()
