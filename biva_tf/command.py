"""What the commands share: flags, and errors in one line with an exit code."""

import sys
from collections.abc import Callable
from pathlib import Path

from absl import app, flags, logging

from biva_tf import scoring, strategy
from biva_tf.data.images_view import Images
from biva_tf.errors import SettingsError, UserError
from biva_tf.evaluation import Settings

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "The folder of the run.", required=True)


def model_dir() -> Path:
    """The folder that --model_dir names."""
    return Path(_MODEL_DIR.value)


def define_scoring_flags(k: list[str] | None) -> None:
    """Defines the flags of the commands that score data sets; `k` is the default of --k."""
    flags.DEFINE_integer(
        "num_examples", 0, "The first so many images of the split; 0 for all.", lower_bound=0
    )
    flags.DEFINE_list("k", k, "The k of the scores L^{>k} (paper, eq. 2), such as 0,2,4.")
    flags.DEFINE_integer(
        "k_samples", 10, "Samples of L^{>k}, of which it is the mean.", lower_bound=1
    )
    flags.DEFINE_enum(
        "below",
        "sample",
        list(scoring.BELOW),
        "What latents of levels <= k are in L^{>k}: a sample of their prior, or its mode.",
    )
    flags.DEFINE_integer("seed", 0, "Seed of the samples.", lower_bound=0)
    flags.DEFINE_integer(
        "max_rows", 256, "At most this many pairs of image and sample in memory.", lower_bound=1
    )
    define_data_dir()
    flags.adopt_module_key_flags(sys.modules[__name__])


def define_data_dir() -> None:
    """Defines --data_dir for the commands that read the data set of a run, or another."""
    flags.DEFINE_string(
        "data_dir", None, "Where prepared data sets are; by default where the run looked."
    )
    flags.adopt_module_key_flags(sys.modules[__name__])


def first_examples(images: Images, name: str) -> Images:
    """The first --num_examples of a split. SettingsError if there are not so many."""
    number = flags.FLAGS.num_examples
    if number > len(images):
        raise SettingsError(
            f"--num_examples: expected at most the {len(images)} images of {name}, got {number}"
        )
    return images.first(number) if number else images


def scoring_settings(iw_samples: int, k: list[str] | None = None) -> Settings:
    """The settings that the scoring flags say; `k` stands in for --k."""
    values = flags.FLAGS
    ks = integers("k", values.k if k is None else k)
    return Settings(
        iw_samples=iw_samples,
        ks=ks,
        k_samples=values.k_samples if ks else 1,
        below=values.below,
        seed=values.seed,
    )


def integers(flag: str, values: list[str]) -> tuple[int, ...]:
    """The integers of a list flag. Raises SettingsError naming the flag if they are none."""
    try:
        numbers = tuple(map(int, values))
    except ValueError:
        raise SettingsError(f"--{flag}: expected integers, got {','.join(values)!r}") from None
    if not numbers and flags.FLAGS[flag].present:
        raise SettingsError(f"--{flag}: expected at least one integer, got none")
    return numbers


def start(name: str, body: Callable[[], None]) -> None:
    """Parses the flags and runs a command.

    A `UserError` or a file that cannot be written is one line on standard error, and exit code 1.
    """
    flags.adopt_module_key_flags(sys.modules[__name__])  # so that --help lists them

    def main(argv: list[str]) -> int:
        if len(argv) > 1:
            print(f"{name}: unexpected arguments: {' '.join(argv[1:])}", file=sys.stderr)
            return 2
        logging.set_verbosity(logging.WARNING)
        strategy.tune()
        try:
            body()
        except (UserError, OSError) as e:
            print(f"{name}: {e}", file=sys.stderr)
            return 1
        return 0

    app.run(main)
