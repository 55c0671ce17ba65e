"""The result of a run."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class RunSummary:
    """The result of a run, which summary.json keeps: the test split, one sample per image.

    Attributes:
      step: the steps done.
      elbo_nats, reconstruction_nats: means over the images.
      bits_per_dim: the mean over the images; of text None.
      perplexity: of text, exp(-ELBO per token), ends of sentences included; else None.
      split: "test".
      selected_step: the step that the weights are from.
      kl_nats: the KL of each latent, by name.
    """

    step: int
    elbo_nats: float
    bits_per_dim: float | None
    split: str
    selected_step: int
    reconstruction_nats: float
    kl_nats: dict[str, float]
    perplexity: float | None = None
