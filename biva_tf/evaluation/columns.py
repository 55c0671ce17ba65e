"""The columns under which commands write the scores of examples."""

from collections.abc import Mapping, Sequence

import numpy as np

BOUND = "L_K_nats"


def scores(
    bound: np.ndarray,
    elbo: np.ndarray,
    reconstruction: np.ndarray,
    kl: np.ndarray,
    kl_names: Sequence[str],
    above: Mapping[int, np.ndarray],
    llr: Mapping[int, np.ndarray],
) -> dict[str, np.ndarray]:
    """The columns of scores, [examples], nats, by name.

    Args:
      bound: L_K.
      elbo: L_1.
      reconstruction: log p(x|z).
      kl: KL(q||p) of each latent, and of y if the model has classes, [examples, terms].
      kl_names: the names of these terms.
      above: L^{>k} by k.
      llr: LLR^{>k} by k.
    """
    columns = {"L_1_nats": elbo, BOUND: bound, "reconstruction_nats": reconstruction}
    columns |= {f"KL_{name}_nats": kl[:, i] for i, name in enumerate(kl_names)}
    columns |= {f"L_above_{k}_nats": values for k, values in above.items()}
    return columns | {f"LLR_above_{k}_nats": values for k, values in llr.items()}
