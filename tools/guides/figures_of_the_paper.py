"""The paper's figures from a trained model: a guide, in cells that notebooks open (`# %%`)."""

# %% [markdown]
# # The paper's figures from a trained model
#
# BIVA has many latents, in a hierarchy. The paper looks at them in four ways, and this guide
# draws each of them with the small model of digits that ships with the project:
#
# 1. samples of the prior,
# 2. reconstructions from the upper levels alone,
# 3. the KL divergence of each latent, which says how much the model uses it,
# 4. histograms of L^{>k}, which tell images of another kind from the model's own.
#
# The pictures are written into the folder `figures`. It takes a minute on two cores.

# %%
from pathlib import Path

import numpy as np

import biva_tf
from biva_tf.evaluation.detection import detect
from biva_tf.plotting import figures
from biva_tf.plotting.grid import grid, write_png

FOLDER = Path("figures")
FOLDER.mkdir(exist_ok=True)

# %% [markdown]
# `load` takes the name of a trained model that ships, or the folder of a run. The result is a
# Keras model, which also knows the data set that it was trained on.

# %%
model = biva_tf.load("mnist_10k_small")
digits = model.images(split="test")[:100]
letters = model.images("letters_2k", split="test")[:100]
levels = model.spec.num_levels
print(f"{levels} levels, latents {', '.join(latent.name for latent in model.spec.latents)}")

# %% [markdown]
# ## Samples
#
# A sample draws every latent from its prior, from the top level down. The image is the
# probability of each pixel. A temperature below 1 shrinks the standard deviations of the priors:
# the samples are cleaner and differ less.

# %%
write_png(FOLDER / "samples.png", grid(model.sample(64, seed=0)))
write_png(FOLDER / "samples_cool.png", grid(model.sample(64, seed=0, temperature=0.7)))

# %% [markdown]
# ## Reconstructions from the upper levels
#
# The latents of levels above k are drawn from their posterior given the image; those of level k
# and below are the mean of their prior. With k = 0 the whole hierarchy sees the image. The higher
# k, the less is left of this digit, and the more of the digits that the model has learnt.
#
# Each row shows an image, then its reconstructions for k = 0, 1, ... up to the top latent alone.

# %%
originals = digits[:8]
columns = [originals, *(model.reconstruct(originals, k, seed=0) for k in range(levels))]
rows = np.stack(columns, axis=1).reshape(-1, *model.spec.image_shape)
write_png(FOLDER / "reconstructions.png", grid(rows, columns=len(columns)))

# %% [markdown]
# ## The KL divergence of each latent
#
# The bound is the reconstruction term minus one KL term per latent, E[log q(z) - log p(z)] in
# nats. A latent whose KL is near 0 has collapsed onto its prior: it carries nothing about the
# image.

# %%
score = model.score(digits, seed=0)
kl = score.kl_nats.mean(axis=0)
for name, nats in zip(score.latent_names, kl, strict=True):
    print(f"KL of {name:<8}{nats:>8.2f} nats")
figures.write(
    FOLDER / "kl.png", figures.kl_bars(kl, list(score.latent_names), "mnist_10k, 100 test images")
)

# %% [markdown]
# ## Anomalies
#
# L^{>k} takes the latents of levels 1 to k from their prior and not from their posterior. The
# lower levels can copy the strokes of any image. Without them, the upper levels must explain it,
# and they know digits alone: the distance between the means of -L^{>k} grows with k up to k = 3.
# With k = 4, the top latent alone explains digits as badly as letters.
#
# AUROC is the probability that a letter has the higher -L^{>k} of a letter and a digit.

# %%
negative_bounds = {
    k: tuple(-model.score(images, k=k, seed=0).bound_nats for images in (digits, letters))
    for k in reversed(range(levels))
}
names = ("mnist_10k", "letters_2k")
figures.write(FOLDER / "anomalies.png", figures.histograms(negative_bounds, names, "nats"))
for k, (of_digits, of_letters) in negative_bounds.items():
    auroc = detect(of_digits, of_letters).auroc
    print(
        f"-L^{{>{k}}}: digits {of_digits.mean():.1f}, letters {of_letters.mean():.1f} nats, "
        f"AUROC {auroc:.3f}"
    )

# %% [markdown]
# `python -m biva_tf.anomaly --pretrained=mnist_10k_small --out_dataset=letters_2k` does this part
# for whole test sets, and adds the ratio LLR^{>k} = L - L^{>k}.
