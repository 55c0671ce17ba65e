"""Draws images of a trained model: python -m biva_tf.sample --model_dir=runs/mnist_sample

--mode=prior        samples of the prior
--mode=levels       one sample per row: the top latent alone, then one more level per column
--mode=reconstruct  per row an image, then its reconstructions without the lowest 0, 1, ... levels
--mode=interpolate  per row two images, and those between them, by their latents
--mode=traverse     per row a unit of --latent, from -3 to 3 standard deviations of its prior

Writes OUTPUT.png and OUTPUT.npz (`images`, float32 in [0, 1], and what is along its axes). The same
seed gives the same files.
"""

import io
from pathlib import Path

import numpy as np
from absl import flags

from biva_tf import api, command, exploration
from biva_tf.data import pipeline
from biva_tf.errors import SettingsError
from biva_tf.images import grid, write_png
from biva_tf.run_dir import RunDir, write_atomically

_REACH = 3.0  # of a traversal, in standard deviations
_MAX_UNITS = 8  # of a traversal, unless --units says more

_MODE = flags.DEFINE_enum(
    "mode", "prior", ["prior", "levels", "reconstruct", "interpolate", "traverse"], "What to draw."
)
_NUM_SAMPLES = flags.DEFINE_integer(
    "num_samples",
    None,
    "Samples (prior: 64, levels: 8), or images to reconstruct (8).",
    lower_bound=1,
)
_TEMPERATURE = flags.DEFINE_float(
    "temperature", 1.0, "Scales the standard deviation of the prior.", lower_bound=0.0
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of all draws.", lower_bound=0)
_K = flags.DEFINE_list(
    "k",
    None,
    "Latents of levels <= k are prior means: one k to interpolate with (by default 0), several to "
    "reconstruct with (all).",
)
_DATASET = flags.DEFINE_string("dataset", None, "Another data set than the model was trained on.")
command.define_data_dir()
_SPLIT = flags.DEFINE_enum("split", "test", pipeline.SPLITS, "The split that images are of.")
_EXAMPLES = flags.DEFINE_list(
    "examples",
    None,
    "Places of images in the split: to reconstruct, in pairs to interpolate, or one to traverse "
    "from (by default a sample of the prior).",
)
_STEPS = flags.DEFINE_integer(
    "steps", 11, "Columns of interpolations and traversals.", lower_bound=2
)
_LATENT = flags.DEFINE_string("latent", None, "The latent to traverse; by default the top one.")
_UNITS = flags.DEFINE_list("units", None, f"Its units; by default the first {_MAX_UNITS}.")
_OUTPUT = flags.DEFINE_string(
    "output", None, "Where to, without suffix; by default MODEL_DIR/pictures/MODE."
)


def _examples(trained: api.Trained, default: list[int]) -> np.ndarray:
    """The images that --examples names."""
    dataset = _DATASET.value or trained.settings["dataset"]
    images = trained.images(dataset, _SPLIT.value, flags.FLAGS.data_dir)
    places = default
    if _EXAMPLES.value is not None:
        places = command.integers("examples", _EXAMPLES.value)
    for place in places:
        if not 0 <= place < len(images):
            expected = f"0..{len(images) - 1} of {dataset} {_SPLIT.value}"
            raise SettingsError(f"--examples: expected places in {expected}, got {place}")
    return images[np.array(places, np.int64)]


def _prior(trained: api.Trained) -> dict[str, np.ndarray]:
    samples = trained.model.sample(
        _NUM_SAMPLES.value or 64, seed=_SEED.value, temperature=_TEMPERATURE.value
    )
    return {"images": samples.numpy()}


def _levels(trained: api.Trained) -> dict[str, np.ndarray]:
    number = _NUM_SAMPLES.value or 8
    images = exploration.levels(
        trained.model, number, seed=_SEED.value, temperature=_TEMPERATURE.value
    )
    return {"images": images, "k": np.arange(trained.model.spec.num_levels)[::-1]}


def _reconstruct(trained: api.Trained) -> dict[str, np.ndarray]:
    originals = _examples(trained, list(range(_NUM_SAMPLES.value or 8)))
    ks = tuple(range(trained.model.spec.num_levels))
    if _K.value is not None:
        ks = command.integers("k", _K.value)
    images = exploration.reconstruct(trained.model, originals, ks, seed=_SEED.value)
    return {"images": images, "k": np.array(ks), "originals": originals}


def _interpolate(trained: api.Trained) -> dict[str, np.ndarray]:
    ends = _examples(trained, list(range(16)))
    if len(ends) % 2:
        raise SettingsError(f"--examples: expected pairs of images, got {len(ends)}")
    k = command.integers("k", _K.value or ["0"])
    if len(k) != 1:
        raise SettingsError(f"--k: expected one k to interpolate with, got {len(k)}")
    images = exploration.interpolate(
        trained.model, ends[::2], ends[1::2], _STEPS.value, k=k[0], seed=_SEED.value
    )
    return {"images": images, "first": ends[::2], "second": ends[1::2]}


def _traverse(trained: api.Trained) -> dict[str, np.ndarray]:
    model = trained.model
    names = [latent.name for latent in model.spec.latents]
    name = _LATENT.value or names[-1]
    image = None
    if _EXAMPLES.value is not None:
        images = _examples(trained, [])
        if len(images) != 1:
            raise SettingsError(f"--examples: expected one to traverse from, got {len(images)}")
        image = images[0]
    if _UNITS.value is not None:
        units = command.integers("units", _UNITS.value)
    else:
        size = dict(zip(names, model.latent_shapes, strict=True)).get(name, (1,))[-1]
        units = tuple(range(min(size, _MAX_UNITS)))
    values = np.linspace(-_REACH, _REACH, _STEPS.value)
    images = exploration.traverse(model, name, units, values, image=image, seed=_SEED.value)
    return {"images": images, "units": np.array(units), "standard_deviations": values}


_MODES = {
    "prior": _prior,
    "levels": _levels,
    "reconstruct": _reconstruct,
    "interpolate": _interpolate,
    "traverse": _traverse,
}


def _picture(arrays: dict[str, np.ndarray]) -> np.ndarray:
    images = arrays["images"]
    if images.ndim == 4:
        return grid(images)
    if "originals" in arrays:
        images = np.concatenate([arrays["originals"][:, np.newaxis], images], axis=1)
    elif "first" in arrays:
        ends = (arrays["first"][:, np.newaxis], arrays["second"][:, np.newaxis])
        images = np.concatenate([ends[0], images, ends[1]], axis=1)
    return grid(images.reshape(-1, *images.shape[2:]), columns=images.shape[1])


def _main() -> None:
    trained = api.load_trained(command.model_dir())
    try:
        arrays = _MODES[_MODE.value](trained)
    except ValueError as e:
        raise SettingsError(str(e)) from e
    output = Path(_OUTPUT.value or RunDir(command.model_dir()).pictures / _MODE.value)
    if output.suffix in (".png", ".npz"):
        output = output.with_suffix("")
    output.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    npz, png = (output.with_name(output.name + suffix) for suffix in (".npz", ".png"))
    write_atomically(npz, content.getvalue())
    write_png(png, _picture(arrays))
    print(npz)
    print(png)


if __name__ == "__main__":
    command.start("sample", _main)
