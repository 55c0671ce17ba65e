"""The settings of a training run."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from biva_tf.choices import CONVS, FREE_BITS_MODES, KLS, PRECISIONS
from biva_tf.data import images, pipeline, sources
from biva_tf.settings import Settings, setting

LOCAL_STRATEGIES = ("auto", "one_device", "mirrored")
STRATEGIES = (*LOCAL_STRATEGIES, "multi_worker")
GREATEST_SEED = 2**32 - 1  # that Keras takes
# What runs did before there were settings for it, where it is not the default.
BEFORE_SETTINGS: Mapping[str, Any] = MappingProxyType({"ema_warmup": False, "init_images": 0})
INIT_IMAGES = 64  # so many give every output of a layer a deviation that is not small by chance


@dataclasses.dataclass(frozen=True)
class RunConfig(Settings):
    """The settings of a training run, which its config.json keeps.

    Raises:
      SettingsError: a setting out of its range; the message names it.
    """

    architecture: str = setting(
        "mnist_sample",
        "A named architecture, the path of a JSON file with a model spec, or FILE.py:NAME or "
        "MODULE:NAME: a ModelSpec in your own code, which is run, or a function that returns one.",
    )
    init_from: str = setting(
        "",
        "Start from the selected weights of the run in this folder, or of a trained model that "
        "ships with the project (fine-tuning); settings that are not given are then that run's.",
    )
    dataset: str = setting("mnist_10k", "The data set.", choices=pipeline.names())
    data_dir: str = setting(
        sources.default_data_dir(), "The folder of prepared data sets (TFDS's data_dir)."
    )
    download: bool = setting(False, "Let TFDS download the data set if it is not there.")
    binarize: str = setting(
        "auto",
        "How grey images become binary: none (they do not), threshold (above threshold), "
        "bernoulli (drawn once, the same in every run), dynamic (drawn anew in every epoch; "
        "evaluation splits once), or auto: as the data set's experiment does.",
        choices=("auto", *images.BINARIZATIONS),
    )
    threshold: int = setting(
        127,
        "With binarize=threshold, a pixel is 1 if its value, 0 to 255, is above this.",
        lower=0,
        upper=254,
    )
    validation_size: int | None = setting(
        None,
        "Images cut from the end of the training split to select weights on, where the data set "
        "has no validation split of its own; 0 for none: the last weights are then the run's. By "
        "default 1,000, or a fifth of the images if that is less.",
        lower=0,
    )
    train_on_validation: bool = setting(
        False,
        "Train on the data set's own validation split too, as the original does on MNIST; "
        "validation_size images are then cut from the end of both.",
    )
    labels: int | None = setting(
        None,
        "Of a model with classes: how many training images are labelled, as many of each class; by "
        "default all.",
        lower=1,
    )
    label_seed: int = setting(0, "Chooses the labelled images.", lower=0)
    alpha: float | None = setting(
        None,
        "Of a model with classes: the weight of the classifier's log-likelihood of the labels; by "
        "default 0.1 times the training images per label (Kingma et al. 2014).",
        lower=0.0,
    )
    bound_weight: float = setting(
        1.0,
        "Of a model with classes: the weight of the bounds; 0 trains the classifier on the labels "
        "alone, and selects the last weights.",
        lower=0.0,
    )
    steps: int = setting(100_000, "Training steps.", lower=1)
    batch_size: int = setting(32, "The global batch: the sum over all devices.", lower=1)
    seed: int = setting(
        0,
        "Seed of the weights, the noise and the order of the data.",
        lower=0,
        upper=GREATEST_SEED,
    )
    init_images: int = setting(
        INIT_IMAGES,
        "The data-dependent initialisation of the weights takes its statistics from this many "
        "training images (all of fewer, repeated), whatever the batch size is; 0: from the first "
        "training batch, as the original does.",
        lower=0,
    )
    free_bits: float = setting(2.0, "Nats per latent that are free; 0 for none.", lower=0.0)
    free_bits_mode: str = setting(
        "per_example",
        "Where free bits apply: per_example (as the original), or to the mean over the batch.",
        choices=FREE_BITS_MODES,
    )
    kl: str = setting(
        "sampled",
        "The KL of a latent in the loss and in the metrics of the steps: sampled (log q - log p at "
        "the draw, as the original), or analytic (in closed form, of Gaussian latents). Scores, "
        "those of the validation among them, have the sampled one.",
        choices=KLS,
    )
    kl_weight: float = setting(1.0, "The weight of the KL terms (beta).", lower=0.0)
    kl_warmup_steps: int = setting(
        0, "Steps over which the KL weight rises from 0 to kl_weight.", lower=0
    )
    learning_rate: float = setting(0.002, "The initial learning rate of Adamax.", lower=0.0)
    learning_rate_decay: float = setting(
        0.999999, "What multiplies the learning rate at each step.", above=0.0, upper=1.0
    )
    learning_rate_floor: float = setting(
        0.0001, "The learning rate does not fall below this.", lower=0.0
    )
    learning_rate_warmup_steps: int = setting(
        0, "Steps over which the learning rate rises from 0.", lower=0
    )
    ema_decay: float = setting(
        0.9995,
        "Decay of the moving average of the weights that evaluation uses; 0 for none.",
        lower=0.0,
        below=1.0,
    )
    ema_warmup: bool = setting(
        True,
        "Whether that decay is at most (1 + n) / (10 + n) after n steps; the original has no such "
        "warm-up. A run that goes on keeps what it began with.",
    )
    clip_norm: float = setting(
        0.0, "Clip the gradient to this global norm, after the all-reduce; 0 for none.", lower=0.0
    )
    skip_gradient_norm: float = setting(
        0.0,
        "Skip steps whose gradient has a greater global norm, before it is clipped, or one that is "
        "not finite; 0: none is skipped, and one that is not finite ends the run.",
        lower=0.0,
    )
    max_skipped: int = setting(100, "As many skipped steps in a row end the run.", lower=1)
    log_every: int = setting(
        50,
        "Steps between lines of metrics; there is one at every validation and checkpoint, too.",
        lower=1,
    )
    eval_every: int = setting(1000, "Steps between validations and sample grids.", lower=1)
    checkpoint_every: int = setting(1000, "Steps between checkpoints.", lower=1)
    keep_checkpoints: int = setting(2, "How many checkpoints are kept, the newest ones.", lower=1)
    conv: str = setting(
        "auto",
        "How convolutions are computed: direct; frequency: those of stride 1 in the frequency "
        "domain; or auto: on a CPU whichever is faster for each layer.",
        choices=CONVS,
    )
    jit_compile: bool = setting(
        False, "Compile the training step with XLA; for strategy=one_device."
    )
    precision: str = setting(
        "float32",
        "float32, or mixed_bfloat16: the products of convolutions and dense layers in bfloat16.",
        choices=PRECISIONS,
    )
    strategy: str = setting(
        "auto",
        "auto (multi_worker if TF_CONFIG names several hosts, mirrored if there are several "
        "devices), one_device, mirrored, or multi_worker.",
        choices=STRATEGIES,
    )
    host_timeout: int = setting(
        600, "Of several hosts: how many seconds to wait until all are there.", lower=1
    )
    logical_devices: int = setting(
        1, "Split the CPU into this many logical devices, to try strategy=mirrored.", lower=1
    )

    def is_reported(self, step: int) -> bool:
        """Whether a line of metrics follows a step before the last one.

        There is one at every checkpoint, so that a run that goes on from there writes the same
        lines as an uninterrupted one; and at every validation, which may write a checkpoint.
        """
        every = (self.log_every, self.eval_every, self.checkpoint_every)
        return any(step % steps == 0 for steps in every)

    @property
    def data(self) -> pipeline.DataConfig:
        """How the data set is read."""
        return data_config(self.to_plain())

    def to_plain(self) -> dict[str, Any]:
        """The settings by name."""
        return dataclasses.asdict(self)


def defaults() -> dict[str, Any]:
    """The default of every setting."""
    return {field.name: field.default for field in dataclasses.fields(RunConfig)}


def evaluation_data(
    settings: Mapping[str, Any], dataset: str | None = None, data_dir: str | None = None
) -> pipeline.DataConfig:
    """How a data set is read to evaluate the model of a run with these settings.

    Args:
      settings: the run's settings.
      dataset: by default the one that the model was trained on.
      data_dir: where prepared data sets are; by default where the run looked.
    """
    changes: dict[str, Any] = {} if data_dir is None else {"data_dir": data_dir}
    if dataset is not None and dataset != settings["dataset"]:
        # The run cut its validation split from its own data set.
        changes |= {"dataset": dataset, "validation_size": 0}
    return data_config(settings, **changes)


def data_config(settings: Mapping[str, Any], **changes: Any) -> pipeline.DataConfig:
    """How a run with these settings reads its data set, with changes: another dataset, data_dir.

    Another data set is binarised as the run's own.
    """
    binarize = settings["binarize"]
    if binarize == "auto":
        binarize = pipeline.info(settings["dataset"]).binarize
    changed = {**defaults(), **settings, **changes}
    return pipeline.DataConfig(
        dataset=changed["dataset"],
        location=sources.Location.from_text(changed["data_dir"], changed["download"]),
        binarize=binarize,
        threshold=changed["threshold"],
        validation_size=changed["validation_size"],
        labels=changed["labels"],
        label_seed=changed["label_seed"],
        train_on_validation=changed["train_on_validation"],
    )
