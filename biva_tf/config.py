"""The settings of a training run: a frozen dataclass, and the command-line flags made from it."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from absl import flags

from biva_tf import objectives
from biva_tf.compute import CONVS, PRECISIONS
from biva_tf.data import images_view, pipeline, sources
from biva_tf.errors import SettingsError

STRATEGIES = ("auto", "one_device", "mirrored")


def _setting(default: Any, doc: str, **bounds: Any) -> Any:
    return dataclasses.field(default=default, metadata={"doc": doc, "bounds": bounds})


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings but the model_dir. Each is the flag of its name; see `--help` for what it does.

    Raises:
      SettingsError: settings that contradict each other; the message names the flags.
    """

    architecture: str = _setting(
        "mnist_sample",
        "A named architecture, or the path of a JSON file with a model spec.",
    )
    init_from: str = _setting(
        "",
        "Start from the selected weights of the run in this folder (fine-tuning); settings that "
        "are not given are then that run's.",
    )
    dataset: str = _setting("mnist_10k", "The data set.", choices=sources.names())
    data_dir: str = _setting(
        sources.default_data_dir(), "Where prepared data sets are (TFDS's data_dir)."
    )
    download: bool = _setting(False, "Let TFDS download the data set if it is not there.")
    binarize: str = _setting(
        "auto",
        "How grey images become binary: none (they do not), threshold (above 127), bernoulli "
        "(drawn once, the same in every run), dynamic (drawn at every visit; evaluation splits "
        "once), or auto: as the data set's experiment does.",
        choices=("auto", *images_view.MODES),
    )
    validation_size: int = _setting(
        1000,
        "Images cut from the end of the training split to select weights on, where the data set "
        "has no validation split of its own; 0 for none: the last weights are then the run's.",
        lower=0,
    )
    train_on_validation: bool = _setting(
        False,
        "Train on the data set's own validation split too, as the original does on MNIST; "
        "--validation_size images are then cut from the end of both.",
    )
    steps: int = _setting(100_000, "Training steps.", lower=1)
    batch_size: int = _setting(32, "The global batch: the sum over all devices.", lower=1)
    seed: int = _setting(0, "Seed of the weights, the noise and the order of the data.", lower=0)
    free_bits: float = _setting(2.0, "Nats per latent that are free; 0 for none.", lower=0.0)
    free_bits_mode: str = _setting(
        "per_example",
        "Where free bits apply: per_example (as the original), or to the mean over the batch.",
        choices=objectives.FREE_BITS_MODES,
    )
    kl_weight: float = _setting(1.0, "The weight of the KL terms (beta).", lower=0.0)
    kl_warmup_steps: int = _setting(
        0, "Steps over which the KL weight rises from 0 to --kl_weight.", lower=0
    )
    learning_rate: float = _setting(0.002, "The initial learning rate of Adamax.", lower=0.0)
    learning_rate_decay: float = _setting(
        0.999999, "What multiplies the learning rate at each step."
    )
    learning_rate_floor: float = _setting(
        0.0001, "The learning rate does not fall below this.", lower=0.0
    )
    ema_decay: float = _setting(
        0.9995,
        "Decay of the moving average of the weights that evaluation uses; 0 for none.",
        lower=0.0,
    )
    clip_norm: float = _setting(
        0.0, "Clip the gradient to this global norm, after the all-reduce; 0 for none.", lower=0.0
    )
    log_every: int = _setting(50, "Steps between lines of metrics.", lower=1)
    eval_every: int = _setting(1000, "Steps between validations and sample grids.", lower=1)
    checkpoint_every: int = _setting(1000, "Steps between checkpoints.", lower=1)
    conv: str = _setting(
        "auto",
        "How convolutions are computed: direct, frequency (in the frequency domain, those of "
        "stride 1), or auto: on a CPU each layer as is faster.",
        choices=CONVS,
    )
    precision: str = _setting(
        "float32",
        "float32, or mixed_bfloat16: the products of convolutions and dense layers in bfloat16.",
        choices=PRECISIONS,
    )
    strategy: str = _setting(
        "auto",
        "auto (mirrored if there are several devices), one_device, or mirrored.",
        choices=STRATEGIES,
    )
    logical_devices: int = _setting(
        1, "Split the CPU into this many logical devices, to try --strategy=mirrored.", lower=1
    )

    def __post_init__(self):
        for flag in ("eval_every", "checkpoint_every"):
            value = getattr(self, flag)
            if value % self.log_every:
                # A resumed run writes the same lines of metrics as one that was not interrupted.
                raise SettingsError(
                    f"--{flag}: expected a multiple of --log_every={self.log_every}, got {value}"
                )
        if self.ema_decay >= 1:
            raise SettingsError(f"--ema_decay: expected a number in [0, 1), got {self.ema_decay}")
        if not 0 < self.learning_rate_decay <= 1:
            raise SettingsError(
                "--learning_rate_decay: expected a number in (0, 1], "
                f"got {self.learning_rate_decay}"
            )

    @property
    def data(self) -> pipeline.Settings:
        """How the data set is read."""
        return data_settings(self.to_plain())

    def to_plain(self) -> dict[str, Any]:
        """The settings by name."""
        return dataclasses.asdict(self)


def defaults() -> dict[str, Any]:
    """The default of every setting."""
    return {field.name: field.default for field in dataclasses.fields(Config)}


def data_settings(settings: Mapping[str, Any], **changes: Any) -> pipeline.Settings:
    """How a run with these settings reads its data set, with changes: another dataset, data_dir.

    Another data set is binarised as the run's own.
    """
    binarize = settings["binarize"]
    if binarize == "auto":
        binarize = sources.info(settings["dataset"]).binarize
    changed = {**defaults(), **settings, **changes}
    return pipeline.Settings(
        dataset=changed["dataset"],
        location=sources.Location.of(changed["data_dir"], changed["download"]),
        binarize=binarize,
        validation_size=changed["validation_size"],
        train_on_validation=changed["train_on_validation"],
    )


def define_flags() -> None:
    """Defines a flag for every setting."""
    for field in dataclasses.fields(Config):
        doc, bounds = field.metadata["doc"], dict(field.metadata["bounds"])
        if "choices" in bounds:
            flags.DEFINE_enum(field.name, field.default, bounds["choices"], doc)
        elif field.type is bool:
            flags.DEFINE_bool(field.name, field.default, doc)
        elif field.type is str:
            flags.DEFINE_string(field.name, field.default, doc)
        else:
            define = flags.DEFINE_integer if field.type is int else flags.DEFINE_float
            define(field.name, field.default, doc, lower_bound=bounds.get("lower"))


def from_flags(inherited: Mapping[str, Any] = MappingProxyType({})) -> Config:
    """The settings of the parsed flags; `inherited` where no flag was given.

    Raises:
      SettingsError: they contradict each other.
    """
    values = {}
    for field in dataclasses.fields(Config):
        flag = flags.FLAGS[field.name]
        values[field.name] = flag.value if flag.present else inherited.get(field.name, flag.value)
    return Config(**values)
