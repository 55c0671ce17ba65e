"""One's own images: a guide, in cells that notebooks open (`# %%`)."""

# %% [markdown]
# # One's own images: from an array to samples, scores and a served model
#
# The images here are the 1,797 scanned digits of scikit-learn, 8x8 pixels with 17 grey values. Put
# your own array in their place: [images, height, width, channels], uint8 from 0 to 255 or floats in
# [0, 1].

# %%

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

import biva_tf
from biva_tf.serving import exporting

keras.utils.set_random_seed(0)  # so that every run of this script gives the same numbers
digits = load_digits()
images = (digits.images / 16 > 0.5).astype("float32")[..., np.newaxis]
train, test = images[:1500], images[1500:]

# %% [markdown]
# ## The model
#
# A `ModelSpec` lists the levels of the hierarchy from the image up. Each has deterministic blocks
# (filters, kernel, stride) and a latent. The pixels here are black or white, so the likelihood
# is Bernoulli, which is the default; `LogisticMixture()` is for pixels of 256 values.

# %%
spec = biva_tf.ModelSpec(
    image_shape=(8, 8, 1),
    stages=(
        biva_tf.StageSpec((biva_tf.BlockSpec(32, (3, 3), (2, 2)),), biva_tf.DenseLatent(8)),
        biva_tf.StageSpec((biva_tf.BlockSpec(32, (3, 3), (2, 2)),), biva_tf.DenseLatent(4)),
    ),
)
model = biva_tf.BIVA(spec)
print([latent.name for latent in spec.latents])

# %% [markdown]
# ## Training
#
# `fit` takes what it takes of every Keras model. Free bits keep the top latent in use from the
# start. Judge, sample and export with the moving averages of the weights.

# %%
model.compile(
    biva_tf.Adamax(0.01, ema_decay=0.99), objective=biva_tf.Objective(free_bits=0.5), seed=0
)
model.fit(train, batch_size=50, epochs=20, verbose=0)

# %%
with model.averaged_weights():
    model.save_to_preset("digits")
model = biva_tf.load("digits")

# %% [markdown]
# ## Samples and scores
#
# `score` gives the bound L_K on log p(x) of every image. Digits upside down have a lower bound, and
# so have random pixels: an anomaly has a low score.

# %%
samples = model.sample(16, seed=0)
print(samples.shape, samples.min(), samples.max())

bounds = {
    "digits": model.score(test, num_importance_samples=10, seed=0).bound_nats,
    "upside down": model.score(test[:, ::-1], num_importance_samples=10, seed=0).bound_nats,
    "noise": model.score(
        np.random.default_rng(0).integers(0, 2, test.shape), num_importance_samples=10, seed=0
    ).bound_nats,
}
for name, bound in bounds.items():
    print(f"{name:<12} mean L_10 {bound.mean():7.2f} nats")

# %% [markdown]
# ## A served model
#
# `export` writes a SavedModel that TensorFlow Serving loads as it is. Here Python loads it, without
# biva_tf. Requests give a seed as the pair (seed, 0).

# %%
folder = exporting.export(model, "models/digits")
served = tf.saved_model.load(str(folder))
answer = served.signatures["score"](
    images=tf.constant(test[:3]),
    k=tf.constant(0),
    num_importance_samples=tf.constant(10),
    seed=tf.constant([0, 0]),
)
print(answer["bound_nats"].numpy(), bounds["digits"][:3])
np.testing.assert_allclose(answer["bound_nats"], bounds["digits"][:3], rtol=1e-4)
