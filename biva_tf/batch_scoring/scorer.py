"""Scores parts with an export, which a process loads once."""

import contextlib
import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf

from biva_tf import quiet
from biva_tf.batch_scoring import part_files
from biva_tf.batch_scoring.parts import ImageForm, Part
from biva_tf.commands.start import compute_with_threads, keep_freed_memory
from biva_tf.inference import chunks


@dataclasses.dataclass(frozen=True)
class Request:
    """The scores to compute for every image.

    Attributes:
      folder: the export's folder.
      kl_names: the names of its KL terms.
      form: how it reads images.
      ks: every k of L^{>k}; empty for none.
      num_importance_samples: importance samples per image.
      seed: the seed of the samples.
      encodings: whether to give the mean of each latent's posterior.
      run: a hash of all that the scores depend on besides the images.
    """

    folder: Path
    kl_names: tuple[str, ...]
    form: ImageForm
    ks: tuple[int, ...]
    num_importance_samples: int
    seed: int
    encodings: bool
    run: str


class PartScorer:
    """Scores parts.

    The graphs compute 32 rows at a time, by one thread, and get no other number: the last bits can
    depend on both. So the scores of an image are the same bits in whatever part it is, however many
    processes there are.
    """

    def __init__(self, request: Request):
        self._request = request
        quiet.warnings()
        keep_freed_memory()
        with contextlib.suppress(RuntimeError):  # devices are set up
            tf.config.threading.set_inter_op_parallelism_threads(1)
        compute_with_threads(1)
        self._model = tf.saved_model.load(str(request.folder))

    def parquet(self, part: Part) -> bytes:
        """The file with the scores of a part; see `part_files.parquet`.

        Raises:
          DataError: as `Part.read`.
        """
        request = self._request
        images = part.read(request.form)
        number = len(images.ids)
        # An empty part has the columns of the others.
        filled = np.minimum(np.arange(max(-(-number // chunks.ROWS), 1) * chunks.ROWS), number - 1)
        pixels = np.zeros((chunks.ROWS, *request.form.shape), np.float32)
        ids = np.zeros(chunks.ROWS, np.int64)
        if number:
            pixels, ids = images.images[filled], images.ids[filled]
        outputs = {
            k: self._call(
                "score_numbered",
                number,
                images=tf.constant(pixels),
                numbers=tf.constant(ids),
                k=tf.constant(k),
                num_importance_samples=tf.constant(request.num_importance_samples),
                seed=tf.constant([request.seed, 0]),
            )
            for k in request.ks or (0,)
        }
        scored = part_files.scores(outputs, request.kl_names, request.ks)
        codes = {}
        if request.encodings:
            means = self._call("encode", number, images=tf.constant(pixels))
            codes = {name: means[name] for name in request.kl_names}  # in their order
        origin = part_files.Origin(request.run, part.index, images.fingerprint)
        return part_files.parquet(images, scored, codes, origin)

    def _call(self, name: str, number: int, **inputs: tf.Tensor) -> dict[str, np.ndarray]:
        outputs = self._model.signatures[name](**inputs)
        return {key: value.numpy()[:number] for key, value in outputs.items()}
