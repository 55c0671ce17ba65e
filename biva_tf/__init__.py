"""biva_tf: BIVA (Maaløe et al. 2019) in TensorFlow 2 and Keras."""

import importlib
from typing import TYPE_CHECKING, Any

from biva_tf import quiet
from biva_tf.commands.catalogue import COMMANDS as _COMMANDS

if TYPE_CHECKING:
    from biva_tf.api import BIVA, Training, build, load
    from biva_tf.compression.errors import CompressionError
    from biva_tf.data.sources import DataError
    from biva_tf.errors import SettingsError, UserError
    from biva_tf.inference.scoring import Score
    from biva_tf.model.checks import SpecError
    from biva_tf.model.kinds import (
        BlockKind,
        LatentKind,
        LikelihoodKind,
        StagesKind,
        TopPriorKind,
        register,
    )
    from biva_tf.model.observations import Bernoulli, Gaussian, LogisticMixture, Text
    from biva_tf.model.priors import GaussianPrior, StandardPrior, VampPrior
    from biva_tf.model.spec import (
        AttentionSpec,
        BlockSpec,
        Classes,
        ConvLatent,
        DenseLatent,
        ModelSpec,
        StageSpec,
    )
    from biva_tf.model.user_code import CodeError
    from biva_tf.nn.compute import Compute
    from biva_tf.runs.checkpoints import CheckpointError
    from biva_tf.runs.run_dir import RunDirError
    from biva_tf.serving.exporting import ExportError
    from biva_tf.training.optimizer import Adamax
    from biva_tf.training.step import Objective
    from biva_tf.version import __version__

__all__ = [
    "BIVA",
    "Adamax",
    "AttentionSpec",
    "Bernoulli",
    "BlockKind",
    "BlockSpec",
    "CheckpointError",
    "Classes",
    "CodeError",
    "CompressionError",
    "Compute",
    "ConvLatent",
    "DataError",
    "DenseLatent",
    "ExportError",
    "Gaussian",
    "GaussianPrior",
    "LatentKind",
    "LikelihoodKind",
    "LogisticMixture",
    "ModelSpec",
    "Objective",
    "RunDirError",
    "Score",
    "SettingsError",
    "SpecError",
    "StageSpec",
    "StagesKind",
    "StandardPrior",
    "Text",
    "TopPriorKind",
    "Training",
    "UserError",
    "VampPrior",
    "__version__",
    "build",
    "load",
    "register",
]

# The module of each public name.
_MODULES = {
    "Adamax": "biva_tf.training.optimizer",
    "BIVA": "biva_tf.api",
    "Bernoulli": "biva_tf.model.observations",
    "AttentionSpec": "biva_tf.model.block_specs",
    "BlockKind": "biva_tf.model.kinds",
    "BlockSpec": "biva_tf.model.block_specs",
    "CheckpointError": "biva_tf.runs.checkpoints",
    "Classes": "biva_tf.model.spec",
    "CodeError": "biva_tf.model.user_code",
    "CompressionError": "biva_tf.compression.errors",
    "Compute": "biva_tf.nn.compute",
    "ConvLatent": "biva_tf.model.spec",
    "DataError": "biva_tf.data.sources",
    "DenseLatent": "biva_tf.model.spec",
    "ExportError": "biva_tf.serving.exporting",
    "Gaussian": "biva_tf.model.observations",
    "GaussianPrior": "biva_tf.model.priors",
    "LatentKind": "biva_tf.model.kinds",
    "LikelihoodKind": "biva_tf.model.kinds",
    "LogisticMixture": "biva_tf.model.observations",
    "ModelSpec": "biva_tf.model.spec",
    "Objective": "biva_tf.training.step",
    "RunDirError": "biva_tf.runs.run_dir",
    "Score": "biva_tf.inference.scoring",
    "SettingsError": "biva_tf.errors",
    "SpecError": "biva_tf.model.checks",
    "StageSpec": "biva_tf.model.spec",
    "StagesKind": "biva_tf.model.kinds",
    "StandardPrior": "biva_tf.model.priors",
    "Text": "biva_tf.model.observations",
    "TopPriorKind": "biva_tf.model.kinds",
    "Training": "biva_tf.api",
    "UserError": "biva_tf.errors",
    "VampPrior": "biva_tf.model.priors",
    "__version__": "biva_tf.version",
    "build": "biva_tf.api",
    "load": "biva_tf.api",
    "register": "biva_tf.model.kinds",
}


quiet.start_program()


def __getattr__(name: str) -> Any:
    if name in _COMMANDS:  # so that `biva_tf.evaluate.run(settings)` needs no further import
        return importlib.import_module(f"biva_tf.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value  # found at once from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_COMMANDS})


if not quiet.in_program():
    # A command imports what it needs. A user's process imports everything, since Keras finds the
    # classes of a .keras file among those that were imported.
    for _name in __all__:
        __getattr__(_name)
