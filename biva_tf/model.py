"""BIVA (Maaløe et al. 2019): one bottom-up pass and one top-down pass.

    image_features(x)          the start of the bottom-up pass, before its first draw
    bottom_up(image_features)  the deterministic features of x, and the bottom-up latents drawn on
                               the way: q(z_i^bu | x, z_{<i}^bu), q(z_L | x, z_{<L}^bu)
    top_down(features, plan)   every latent from the top to the bottom, each from where the plan
                               says, with its prior p(z_i | z_{>i}) and, where it is drawn from it,
                               q(z_i^td | x, z_{<i}^bu, z_{>i}); and the likelihood p(x | z)

Training, bounds, sampling, L^{>k} and reconstruction are these two passes under different plans.
LVAE, LVAE+ and VAE are the same two passes with fewer parts (`ModelSpec.inference`,
`ModelSpec.generative_skips`).
"""

import dataclasses

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from biva_tf import likelihoods, plans, sampling, scoring
from biva_tf.compute import Compute
from biva_tf.distributions import DiagonalGaussian
from biva_tf.layers import Dense, computing
from biva_tf.noise import Noise, posterior_stream, prior_stream
from biva_tf.spec import Branch, LatentSpec, ModelSpec
from biva_tf.stages import Chains, GenerativeStage, InferenceStage


@dataclasses.dataclass(frozen=True)
class Draw:
    """A draw z from q."""

    z: tf.Tensor
    q: DiagonalGaussian


@dataclasses.dataclass(frozen=True)
class ImageFeatures:
    """What the bottom-up pass knows before its first draw: it depends on the images alone.

    Importance samples of an image share it.

    Attributes:
      chains: of the levels seen: level 1; or all, where there are no bottom-up latents.
      q: the posterior of the latent that is drawn first.
    """

    chains: tuple[Chains, ...]
    q: DiagonalGaussian

    def tiled(self, copies: int | tf.Tensor) -> "ImageFeatures":
        """The same for `copies` of the batch, one after the other."""

        def tile(t):
            return None if t is None else tf.tile(t, [copies, *[1] * (t.shape.rank - 1)])

        chains = tuple(Chains(*map(tile, levels)) for levels in self.chains)
        return ImageFeatures(
            chains, DiagonalGaussian(tile(self.q.mean()), tile(self.q.log_variance))
        )


@dataclasses.dataclass(frozen=True)
class Features:
    """What the bottom-up pass found in the images.

    Attributes:
      maps: td_i of each level, level 1 first; the top-down posteriors read them.
      bottom_up: the draws of z_1^bu ... z_{L-1}^bu; none where the spec has no bottom-up latents.
      q_top: q(z_L | x, z_{<L}^bu).
    """

    maps: tuple[tf.Tensor | None, ...]
    bottom_up: tuple[Draw, ...]
    q_top: DiagonalGaussian


@dataclasses.dataclass(frozen=True)
class LatentStats:
    """A latent in the top-down pass.

    Attributes:
      z: its value, [rows, *latent shape].
      p: its prior given the latents above.
      q: its posterior, if z was, or under a `Switch` may have been, drawn from it, else None.
      log_p: log p(z), [rows], nats.
      log_q: the log-density, [rows], of the distribution that z stands for: q, or without q the
        prior itself, so that log_p - log_q is then zero.
    """

    z: tf.Tensor
    p: DiagonalGaussian
    q: DiagonalGaussian | None
    log_p: tf.Tensor
    log_q: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Output:
    """What the top-down pass gives.

    Attributes:
      px: p(x|z), a distribution over images in [0, 1].
      px_parameters: the network's output that parameterises it, [rows, height, width, parameters].
      latents: one for each of `ModelSpec.latents`, in that order.
    """

    px: tfp.distributions.Distribution
    px_parameters: tf.Tensor
    latents: tuple[LatentStats, ...]


class BIVA(keras.Model):
    """The model that a `ModelSpec` describes.

    `image_features`, `bottom_up` and `top_down` are the model; `sample` and `score` are what most
    users need of it.

    Args:
      spec: of the model.
      compute: how its layers compute; it changes no more than rounding.
    """

    def __init__(self, spec: ModelSpec, compute: Compute | None = None):
        super().__init__(name="BIVA")
        self.spec = spec
        self.likelihood = likelihoods.make(spec)
        with computing(compute or Compute()):
            self._make_stages(spec)
        self.built = True

    def _make_stages(self, spec):
        self.inference_stages = []
        below = None
        for _ in range(spec.num_levels):
            below = InferenceStage(spec, below)
            self.inference_stages.append(below)
        self.generative_stages = []  # in the order of the top-down pass: level L first
        above = None
        for level in range(spec.num_levels, 0, -1):
            above = GenerativeStage(spec, level, self.inference_stages, above)
            self.generative_stages.append(above)
        self.output_layer = Dense(
            above.blocks[-1].out_shape[2], self.likelihood.num_parameters, name="dense"
        )

    @property
    def latent_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each latent, per example, in the order of `spec.latents`."""
        shapes = [stage.latent_shape for stage in reversed(self.generative_stages[:-1])]
        shapes.append(self.inference_stages[-1].posterior.latent_shape)
        return tuple(shapes[latent.level - 1] for latent in self.spec.latents)

    def image_features(
        self, images: tf.Tensor, noise: Noise, *, training: bool = False
    ) -> ImageFeatures:
        """The start of the bottom-up pass, before its first draw.

        Args:
          images: [rows, *spec.image_shape] in [0, 1].
          noise: of the dropout.
          training: whether dropout is active.
        """
        x = self.likelihood.network_input(images)
        chains = [Chains(x, x)]
        for stage in self.inference_stages:
            chains.append(stage.deterministic(chains[-1], chains[-1].bu, noise, training))
            if stage.posterior is not None:
                return ImageFeatures(tuple(chains[1:]), stage.infer(chains[-1], noise, training))
        raise AssertionError("the top stage has a posterior")

    def bottom_up(
        self, image_features: ImageFeatures, noise: Noise, *, training: bool = False
    ) -> Features:
        """The rest of the bottom-up pass: draw a latent, go up a stage, until the top.

        Args:
          image_features: what the method of that name gives.
          noise: of the bottom-up draws and the dropout.
          training: whether dropout is active.
        """
        chains, q, draws = list(image_features.chains), image_features.q, []
        while len(chains) < self.spec.num_levels:
            level = len(chains)
            draws.append(_draw(q, self.spec.latent(level, Branch.BOTTOM_UP), noise))
            d_bu = self.inference_stages[level - 1].latent_map(draws[-1].z)
            stage = self.inference_stages[level]
            chains.append(stage.deterministic(chains[-1], d_bu, noise, training))
            q = stage.infer(chains[-1], noise, training)
        return Features(tuple(c.td for c in chains), tuple(draws), q)

    def top_down(
        self,
        features: Features | None,
        plan: plans.Plan,
        noise: Noise,
        *,
        rows: int | tf.Tensor | None = None,
        training: bool = False,
    ) -> Output:
        """The top-down pass.

        Args:
          features: of the bottom-up pass; None if the plan draws no latent from its posterior.
          plan: a source for each latent, in the order of `spec.latents`.
          noise: of the draws and the dropout.
          rows: the number of rows, needed only without features.
          training: whether dropout is active.

        Raises:
          ValueError: the plan has not one source per latent, or needs features that are not given.
        """
        latents = self.spec.latents
        if len(plan) != len(latents):
            raise ValueError(f"plan: expected {len(latents)} sources, got {len(plan)}")
        sources = dict(zip(latents, plan, strict=True))
        if features is not None:
            rows = tf.shape(features.q_top.mean())[0]
        elif any(map(plans.draws_from_posterior, plan)):
            raise ValueError("plan: it draws from q(z|x), so the top-down pass needs features")
        stats: dict[LatentSpec, LatentStats] = {}

        top = self.spec.latent(self.spec.num_levels, Branch.TOP)
        draw = None
        if plans.draws_from_posterior(sources[top]):
            draw = _draw(features.q_top, top, noise)
        p_top = _standard_gaussian(rows, self.latent_shapes[-1])
        stats[top] = _resolve(top, sources[top], p_top, draw, noise)
        z, skips = stats[top].z, None
        for stage in self.generative_stages:
            skips = stage.deterministic(z, skips, noise, training)
            d = skips[-1]
            if stage.level == 1:
                break
            level = stage.level - 1
            for branch in self.spec.branches:
                latent = self.spec.latent(level, branch)
                source, draw = sources[latent], None
                if plans.draws_from_posterior(source) and branch is Branch.TOP_DOWN:
                    q = stage.infer(features.maps[level - 1], d, noise, training)
                    draw = _draw(q, latent, noise)
                elif features is not None and branch is Branch.BOTTOM_UP:
                    draw = features.bottom_up[level - 1]
                stats[latent] = _resolve(latent, source, stage.prior(branch, d), draw, noise)
            # Top-down before bottom-up, as in the original's weights.
            pair = [stats[self.spec.latent(level, b)].z for b in reversed(self.spec.branches)]
            z = tf.concat(pair, axis=-1)
        parameters = self.output_layer(tf.nn.elu(d))
        px = self.likelihood.distribution(parameters)
        return Output(px, parameters, tuple(stats[latent] for latent in latents))

    def call(
        self, images: tf.Tensor, *, plan: plans.Plan, noise: Noise, training: bool = False
    ) -> Output:
        """Both passes: images [rows, *spec.image_shape] in [0, 1] to `Output`."""
        image_features = self.image_features(images, noise, training=training)
        features = self.bottom_up(image_features, noise, training=training)
        return self.top_down(features, plan, noise, training=training)

    def sample(self, num_samples: int, *, seed: int = 0, temperature: float = 1.0) -> tf.Tensor:
        """Images from the prior, [num_samples, *spec.image_shape] in [0, 1].

        Of a Bernoulli likelihood, the probability of each pixel; of a mixture of logistics, a draw.

        Args:
          num_samples: how many.
          seed: the same seed gives the same images.
          temperature: scales the standard deviation of every latent's prior.

        Raises:
          ValueError: num_samples < 1 or temperature < 0.
        """
        return sampling.sample(self, num_samples, seed=seed, temperature=temperature)

    def score(
        self,
        images,
        *,
        num_importance_samples: int = 1,
        k: int = 0,
        below: str = "sample",
        seed: int = 0,
        max_rows: int = 256,
    ) -> "scoring.Score":
        """The bound on log p(x) of each image; with k > 0 the anomaly score L^{>k}.

        Args:
          images: [images, *spec.image_shape] in [0, 1].
          num_importance_samples: K of L_K.
          k: latents of levels <= k are taken from the prior (paper, eq. 2).
          below: how: "sample" draws from it (the paper's), "mode" takes its mean.
          seed: the same seed gives the same scores, whatever max_rows is, up to rounding; and the
            first samples of a larger K are those of a smaller.
          max_rows: at most this many (image, sample) pairs are in memory at once.

        Raises:
          ValueError: images of a wrong shape or range, or K, k, below or max_rows out of range.
        """
        return scoring.scores(
            self,
            images,
            (k,),
            num_importance_samples=num_importance_samples,
            below=below,
            seed=seed,
            max_rows=max_rows,
        )[0]


def _draw(q: DiagonalGaussian, latent: LatentSpec, noise: Noise) -> Draw:
    return Draw(q.from_noise(noise.normal(posterior_stream(latent.name), _shape_of(q))), q)


def _resolve(
    latent: LatentSpec,
    source: plans.Source,
    p: DiagonalGaussian,
    draw: Draw | None,
    noise: Noise,
) -> LatentStats:
    """The value of a latent from where the plan says, with its log-densities."""
    match source:
        case plans.Posterior():
            log_p = p.log_prob(draw.z)
            return LatentStats(draw.z, p, draw.q, log_p, draw.q.log_prob(draw.z))
        case plans.Prior(temperature):
            z = p.from_noise(noise.normal(prior_stream(latent.name), _shape_of(p)), temperature)
        case plans.PriorMode():
            z = p.mean()
        case plans.Given(value):
            z = tf.convert_to_tensor(value, tf.float32)
        case plans.Switch(condition, below, above):
            one, other = (_resolve(latent, s, p, draw, noise) for s in (below, above))
            z, log_p, log_q = (
                tf.where(condition, getattr(one, name), getattr(other, name))
                for name in ("z", "log_p", "log_q")
            )
            return LatentStats(z, p, other.q, log_p, log_q)
    log_p = p.log_prob(z)
    return LatentStats(z, p, None, log_p, log_p)


def _shape_of(gaussian: DiagonalGaussian) -> tuple:
    mean = gaussian.mean()
    return (tf.shape(mean)[0], *mean.shape[1:])


def _standard_gaussian(rows, shape: tuple[int, ...]) -> DiagonalGaussian:
    zeros = tf.zeros((rows, *shape))
    return DiagonalGaussian(zeros, zeros)
