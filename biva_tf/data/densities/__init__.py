"""Probability densities over the plane that a program can draw from without end.

    potential_1 ... potential_4   the energies of Rezende & Mohamed 2015, Table 1 (potentials.py)
    eight_gaussians, checkerboard, pinwheel                                       (mixtures.py)
    two_moons, spirals            curves under Gaussian noise                       (curves.py)

The true density of each is known, so a bound on log p(x) can be compared with it.
"""

from biva_tf.data.densities.curves import NoisyCurves, spirals, two_moons
from biva_tf.data.densities.density import Density
from biva_tf.data.densities.mixtures import Checkerboard, EightGaussians, Pinwheel
from biva_tf.data.densities.potentials import RIDGES, Ridges, Ring

__all__ = ["DENSITIES", "Density", "NoisyCurves", "Ridges"]

DENSITIES: dict[str, Density] = {
    "potential_1": Ring(),
    "potential_2": RIDGES[2],
    "potential_3": RIDGES[3],
    "potential_4": RIDGES[4],
    "eight_gaussians": EightGaussians(),
    "checkerboard": Checkerboard(),
    "two_moons": two_moons(),
    "pinwheel": Pinwheel(),
    "spirals": spirals(),
}
