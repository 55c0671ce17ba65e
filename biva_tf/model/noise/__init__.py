"""The model's random numbers: drawn from one seed, or given.

Each posterior draw, prior draw and dropout mask asks for its numbers under a stream name of its
own. The noise of a stream is one long sequence in which every row (example) of the whole batch has
its own place. So the same seed gives the same draw on any number of replicas and in chunks of any
size, and no two rows or streams ever share noise.
"""

from biva_tf.model.noise.given import ConstantNoise, GivenNoise, NoNoise
from biva_tf.model.noise.host import HostDraws, NotCodedError
from biva_tf.model.noise.protocol import Noise, posterior_stream, prior_stream
from biva_tf.model.noise.rows import GatheredNoise, SameNoise
from biva_tf.model.noise.samples import NumberedNoise, SampleNoise, of_samples
from biva_tf.model.noise.seeded import SeededNoise

__all__ = [
    "ConstantNoise",
    "GatheredNoise",
    "GivenNoise",
    "HostDraws",
    "NoNoise",
    "Noise",
    "NotCodedError",
    "NumberedNoise",
    "SameNoise",
    "SampleNoise",
    "SeededNoise",
    "of_samples",
    "posterior_stream",
    "prior_stream",
]
