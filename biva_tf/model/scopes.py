"""The names of the layers of the stages, in one table.

A layer's name is the path of its weights in checkpoints, weights files and `.keras` files, it goes
into the hash of a model that compressed files bear, and it is the stream of its dropout. All of
these outlive a version of this project. So the names stay those that the original's program gives
its variables, and `BIVA/<path of a weight>` is the name of the variable in its checkpoints.

The original counts in three ways: some of its scopes number the levels from 0 at the image, some
from 1, the generative blocks from 0 at the top. All that is here, and nowhere else.
"""

from biva_tf.model.spec import Branch

TOP_MERGE = "deterministic_top"
TOP_PRIOR = "pz_top"
CLASSIFIER = "qy"
OUTPUT = "dense"

_OF_BRANCH = {Branch.BOTTOM_UP: "bottom_up", Branch.TOP_DOWN: "top_down", Branch.TOP: "top"}


def inference_block(branch: Branch, level: int, j: int) -> str:
    """Block j, from 0, of the chain to bu_i or to td_i of the bottom-up pass."""
    return f"deterministic_{_OF_BRANCH[branch]}_{level - 1}_{j}"


def bottom_up_map(level: int) -> str:
    """z_i^bu as a map, which the bottom-up pass goes on from."""
    return f"dense2conv_bottom_up_{level}"


def posterior(branch: Branch, level: int) -> str:
    """The posterior's head of a latent."""
    return f"qz_{_OF_BRANCH[branch]}_{level}"


def top_down_merge(level: int) -> str:
    """The block that reads td_i and d_{i+1}, before the posterior of z_i^td."""
    return f"qz_top_down_pz_merge_{level}"


def prior(branch: Branch, level: int) -> str:
    """The prior's head of a latent below the top."""
    return f"pz_{_OF_BRANCH[branch]}_{level}"


def generative_map(level: int) -> str:
    """The latents of a level as a map, which d_i is made from."""
    return f"dense2conv_{level - 1}"


def generative_block(num_levels: int, level: int, j: int) -> str:
    """Block j, from 0, in the order of the top-down pass, of the chain to d_i."""
    return f"deterministic_generative_{num_levels - level}_{j}"
