"""What each latent represents: a guide, in cells that notebooks open (`# %%`)."""

# %% [markdown]
# # Representations: what each latent knows
#
# A latent that represents the digit lets a logistic regression read the digit off it. The model was
# trained without labels.

# %%
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import biva_tf

model = biva_tf.load("mnist_10k_small")
examples = model.images(split="test")
images, labels = examples[:], examples.labels

# %% [markdown]
# `encode` gives the mean of each latent's posterior by name. Maps are made flat.

# %%
latents = {name: z.reshape(len(z), -1) for name, z in model.encode(images).items()}
for name, z in latents.items():
    print(f"{name:<6} {z.shape[1]:>4} numbers")

# %% [markdown]
# 700 digits fit the regression, 300 judge it. "pixels" is the regression on the images themselves.

# %%


def accuracy(inputs: np.ndarray) -> float:
    """The share of the last 300 digits that a regression on the first 700 recognises."""
    scaled = StandardScaler().fit(inputs[:700]).transform(inputs)
    regression = LogisticRegression(max_iter=1000).fit(scaled[:700], labels[:700])
    return regression.score(scaled[700:], labels[700:])


accuracies = {name: accuracy(z) for name, z in latents.items()}
accuracies["all"] = accuracy(np.concatenate(list(latents.values()), axis=1))
accuracies["pixels"] = accuracy(images.reshape(len(images), -1))
for name, value in accuracies.items():
    print(f"{name:<6} {value:.3f}")
