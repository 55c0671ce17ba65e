"""The names of alternatives that settings offer.

They stand apart from the modules that compute the alternatives, which import TensorFlow: `--help`
and the message about a wrong choice need the names alone.
"""

CONVS = ("auto", "direct", "frequency")  # see `nn.compute.Compute`
PRECISIONS = ("float32", "mixed_bfloat16")  # see `nn.compute.Compute`
FREE_BITS_MODES = ("per_example", "batch_mean")  # see `inference.objectives.training_loss`
KLS = ("sampled", "analytic")  # see `inference.objectives.terms`
BELOW = ("sample", "mode")  # see `inference.scoring`
WEIGHTS = ("averaged", "raw")  # of a run: the selected moving averages, the newest raw ones
