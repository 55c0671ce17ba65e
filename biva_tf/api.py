"""The Python API: an untrained model from a name or a spec, a trained one from its model_dir."""

from biva_tf import architectures
from biva_tf.model import BIVA
from biva_tf.spec import ModelSpec


def build(name_or_spec: str | ModelSpec) -> BIVA:
    """An untrained model.

    Args:
      name_or_spec: the name of an architecture (`architectures.ARCHITECTURES`) or a spec.

    Raises:
      SpecError: there is no architecture of that name.
    """
    if isinstance(name_or_spec, str):
        name_or_spec = architectures.get(name_or_spec)
    return BIVA(name_or_spec)


def load(model_dir):
    raise NotImplementedError
