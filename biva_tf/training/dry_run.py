"""A description of a run before it starts: settings, model, memory and steps per epoch."""

import math

import tensorflow as tf

from biva_tf.data import pipeline
from biva_tf.data.densities import DENSITIES
from biva_tf.data.images import NO_LABEL, Batch
from biva_tf.model.network import Network
from biva_tf.model.noise import SeededNoise
from biva_tf.model.spec import ModelSpec
from biva_tf.nn.compute import Compute
from biva_tf.runs.config import RunConfig
from biva_tf.training import size, supervision

# Weights, gradients, two slots of Adamax, averages, V/||V|| and its product with g.
_COPIES_OF_PARAMETERS = 7
# Ops whose output shares the memory of their input, or is tiny.
_NO_MEMORY = {"Identity", "Reshape", "Shape", "StopGradient", "EnsureShape", "Squeeze", "Split"}
_BYTES = 4
_GIB = 2**30


def describe(spec: ModelSpec, settings: RunConfig, replicas: int) -> str:
    """The settings, the model, the memory estimate and the steps per epoch, as text.

    Args:
      spec: the model's spec.
      settings: the run's settings.
      replicas: devices that share the batch.

    Raises:
      SettingsError: the model cannot fit in the memory of this machine.
    """
    size.check(spec, settings.architecture)
    model = Network(spec, Compute("direct"))  # the way of the GPU that the memory is estimated for
    lines = ["settings:"]
    lines += [f"  {name}={value}" for name, value in settings.to_plain().items()]
    lines.append(
        f"model: {spec.num_levels} levels, {len(spec.latents)} latents, {spec.likelihood.kind}"
    )
    for latent, shape in zip(spec.latents, model.latent_shapes, strict=True):
        blocks = spec.stages[latent.level - 1].blocks
        said = ", ".join(map(str, blocks))
        lines.append(f"  {latent.name:<8}{'x'.join(map(str, shape)):<12} stage: {said}")
    lines.append(f"parameters: {model.count_params():,}")
    rows = settings.batch_size // replicas
    fixed, per_row = memory(model)
    lines.append(
        f"memory per device, training, {rows} of {settings.batch_size} images (an estimate): "
        f"{(fixed + rows * per_row) / _GIB:.1f} GiB: {fixed / _GIB:.2f} for weights and optimizer, "
        f"{per_row / _GIB:.3f} per image"
    )
    lines.append(_epochs(settings))
    return "\n".join(lines)


def _epochs(settings: RunConfig) -> str:
    if settings.dataset in DENSITIES:
        return "steps per epoch: none, since points are drawn without end"
    info = pipeline.info(settings.dataset)
    if info.train is None:
        return "steps per epoch: the number of images is the user's"
    images = info.train
    if info.validation and settings.train_on_validation:
        images += info.validation
    if not info.validation or settings.train_on_validation:
        size = settings.validation_size
        images -= pipeline.default_validation_size(images) if size is None else size
    per_epoch = math.ceil(images / settings.batch_size)
    epochs = settings.steps * settings.batch_size / images
    return (
        f"steps per epoch: {per_epoch:,} ({images:,} images); {settings.steps:,} steps are "
        f"{epochs:,.1f} epochs"
    )


def memory(model: Network) -> tuple[int, int]:
    """An estimate of the bytes that training needs: for the weights, and for each image.

    An image needs the outputs of all operations of the forward pass that are not views, since the
    backward pass reads them. Peaks measured on a CPU with direct convolutions, where the
    program itself takes half a GiB: `mnist_l6` at batch 32 3.4 GiB (estimate 3.2), `cifar10_l15` at
    batch 8 6.2 (4.8). Convolutions in the frequency domain take up to 1.3 times as much.
    """
    labels_of = supervision.of(model.spec, alternating=True)

    @tf.function(autograph=False)
    def forward(images):
        batch = Batch(images, tf.constant([0, NO_LABEL], tf.int64))
        terms, _ = labels_of.passes(model, batch, SeededNoise(0))
        return terms.bound

    # With two rows, the axis of the rows cannot be mistaken for one of length 1.
    shape, rows = (2, *model.spec.image_shape), labels_of.rows_below_y()
    graph = forward.get_concrete_function(tf.TensorSpec(shape, tf.float32)).graph
    per_row = 0
    for op in graph.get_operations():
        if op.type in _NO_MEMORY:
            continue
        for tensor in op.outputs:
            sizes = tensor.shape.as_list() if tensor.shape.is_fully_defined() else []
            if tensor.dtype == tf.float32 and sizes and sizes[0] in rows:
                per_row += math.prod(sizes) * _BYTES // 2
    per_row += model.spec.likelihood.uncounted_floats(model.spec.image_shape) * _BYTES
    return model.count_params() * _BYTES * _COPIES_OF_PARAMETERS, per_row
