"""Trains a model: python -m biva_tf.train --flagfile=configs/mnist_sample.flags

Starts a run in --model_dir, or resumes the one that is there (`biva_tf.training.run`). The last
line on standard output is one JSON object with step, elbo_nats and bits_per_dim of the test split;
of text, with the perplexity in place of the last.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from absl import flags

from biva_tf import pretrained
from biva_tf.commands import flagfiles
from biva_tf.commands.flags import parse_apart, read
from biva_tf.commands.outputs import check_folder
from biva_tf.commands.start import start
from biva_tf.errors import Setting, SettingsError
from biva_tf.model import architectures, user_code
from biva_tf.runs.config import RunConfig
from biva_tf.runs.run_dir import RunDir
from biva_tf.settings import Settings, required, setting
from biva_tf.training.summary import RunSummary


@dataclasses.dataclass(frozen=True)
class TrainSettings(Settings):
    """The settings of `python -m biva_tf.train`."""

    model_dir: str = required("The folder of the run.", path=True)
    dry_run: bool = setting(
        False,
        "Print settings, model, memory estimate and steps per epoch, without data, and stop.",
    )
    config: RunConfig = dataclasses.field(default_factory=RunConfig)

    def check_files(self) -> None:
        """Raises SettingsError if the folder of the run cannot be written."""
        if not self.dry_run:
            check_folder("model_dir", self.model_dir)


def run(settings: TrainSettings) -> RunSummary:
    """Trains, or resumes training; see `training.run.train`. Ignores `dry_run`."""
    from biva_tf.training.run import train

    return train(settings.config, Path(settings.model_dir))


def read_settings(values: flags.FlagValues = flags.FLAGS) -> TrainSettings:
    """The settings that parsed flags give.

    Under --init_from, settings without a flag are those of the run there, except for the warm-up of
    the KL weight, which a trained model does not need again. Once this run has begun, they are its
    own.

    Raises:
      UserError: the settings are wrong, there is no such architecture, or the other run is not
        there, which only a dry run does without.
    """
    settings = read(TrainSettings, _inherited(values), values)
    architecture = settings.config.architecture
    if user_code.is_code(architecture) and not values["architecture"].present:
        flag = Setting("architecture", architecture)
        raise SettingsError(
            f"{values.init_from}: its model is made by a user's own file, which runs only if it is "
            "named: give ",
            flag,
        )
    architectures.read(architecture)
    return settings


def _inherited(values: flags.FlagValues) -> dict[str, Any]:
    """The settings of the run here, or of the run to start from, where they count."""
    if not values.init_from:
        return {}
    this_run = RunDir(Path(values.model_dir).expanduser())
    if this_run.config.exists():
        return this_run.read()[1]
    base = pretrained.find(values.init_from)
    if values.dry_run and not base.config.exists():
        return {**_expected(values.init_from), "kl_warmup_steps": 0}
    return {**base.read()[1], "kl_warmup_steps": 0}


def _expected(model_dir: str) -> dict[str, Any]:
    """The settings that a run gets from the shipped flagfile of its name, if there is one."""
    name = Path(model_dir).name
    if name not in flagfiles.names():
        return {}
    values, _ = parse_apart(TrainSettings, [f"--flagfile={flagfiles.FOLDER}/{name}.flags"])
    return read(TrainSettings, values=values).config.to_plain()


def _print(settings: TrainSettings) -> None:
    config = settings.config
    if settings.dry_run:
        from biva_tf.training import devices, dry_run
        from biva_tf.training.hosts import Hosts

        hosts = Hosts.for_strategy(config.strategy)
        local = "auto" if config.strategy == "multi_worker" else config.strategy
        replicas = devices.make_strategy(local, config.logical_devices).num_replicas_in_sync
        replicas *= len(hosts.addresses) if hosts else 1
        spec = architectures.read(config.architecture)
        print(dry_run.describe(spec, config, replicas))
        if config.init_from and not pretrained.find(config.init_from).config.exists():
            name = Path(config.init_from).name
            source = f"configs/{name}.flags" if name in flagfiles.names() else "the defaults"
            print(
                f"{config.init_from}: the run to start from is not there; its settings are taken "
                f"from {source}"
            )
        return
    summary = run(settings)
    rows = [
        ("ELBO", f"{summary.elbo_nats:.3f} nats"),
        ("", _unit(summary)),
        ("reconstruction", f"{summary.reconstruction_nats:.3f} nats"),
        *((f"KL {name}", f"{kl:.3f} nats") for name, kl in summary.kl_nats.items()),
    ]
    print(f"\nTest split, weights selected at step {summary.selected_step}, one sample:")
    for name, value in rows:
        print(f"  {name:<16}{value:>20}")
    unit = "bits_per_dim" if summary.perplexity is None else "perplexity"
    last = {key: getattr(summary, key) for key in ("step", "elbo_nats", unit)}
    print(json.dumps(last))


def _unit(summary: RunSummary) -> str:
    if summary.perplexity is not None:
        return f"perplexity {summary.perplexity:.2f}"
    return f"{summary.bits_per_dim:.4f} bits/dim"


def main() -> None:
    """Runs the command with the flags that it was given."""
    start("train", TrainSettings, _print, read_settings, sets_devices_up=True)


if __name__ == "__main__":
    main()
