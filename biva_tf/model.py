"""BIVA (Maaløe et al. 2019): one bottom-up pass and one top-down pass.

    bottom_up(x)               the deterministic features of x, and the bottom-up latents drawn on
                               the way: q(z_i^bu | x, z_{<i}^bu), q(z_L | x, z_{<L}^bu)
    top_down(features, plan)   every latent from the top to the bottom, each from where the plan
                               says, with its prior p(z_i | z_{>i}) and, where it is drawn from it,
                               q(z_i^td | x, z_{<i}^bu, z_{>i}); and the likelihood p(x | z)

Training, bounds, sampling, L^{>k} and reconstruction are these two passes under different plans.
"""

import dataclasses

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from biva_tf import likelihoods, plans, scoring
from biva_tf.distributions import DiagonalGaussian
from biva_tf.layers import Dense
from biva_tf.noise import Noise, posterior_stream, prior_stream
from biva_tf.spec import Branch, LatentSpec, ModelSpec
from biva_tf.stages import GenerativeStage, InferenceStage


@dataclasses.dataclass(frozen=True)
class Draw:
    """A draw z from q."""

    z: tf.Tensor
    q: DiagonalGaussian


@dataclasses.dataclass(frozen=True)
class Features:
    """What the bottom-up pass found in the images.

    Attributes:
      maps: td_i of each level, level 1 first; the top-down posteriors read them.
      bottom_up: the draws of z_1^bu ... z_{L-1}^bu.
      q_top: q(z_L | x, z_{<L}^bu).
    """

    maps: tuple[tf.Tensor, ...]
    bottom_up: tuple[Draw, ...]
    q_top: DiagonalGaussian


@dataclasses.dataclass(frozen=True)
class LatentStats:
    """A latent in the top-down pass.

    Attributes:
      z: its value, [rows, *latent shape].
      p: its prior given the latents above.
      q: its posterior, if z was drawn from it, else None.
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

    `bottom_up` and `top_down` are the model; `sample` and `score` are what most users need of it.
    """

    def __init__(self, spec: ModelSpec):
        super().__init__(name="BIVA")
        self.spec = spec
        self.likelihood = likelihoods.make(spec)
        self.inference_stages = []
        bu_shape = td_shape = spec.image_shape
        skip_shape = None
        for level in range(1, spec.num_levels + 1):
            stage = InferenceStage(spec, level, bu_shape, td_shape, skip_shape)
            self.inference_stages.append(stage)
            td_shape, skip_shape = stage.td_shape, stage.skip_shape
            if stage.latent_map is not None:
                bu_shape = stage.latent_map.out_shape
        self.generative_stages = []  # in the order of the top-down pass: level L first
        above = None
        for level in range(spec.num_levels, 0, -1):
            above = GenerativeStage(spec, level, self.inference_stages, above)
            self.generative_stages.append(above)
        self.output_layer = Dense(
            above.blocks[-1].out_shape[2], self.likelihood.num_parameters, name="dense"
        )
        self.built = True

    @property
    def latent_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each latent, per example, in the order of `spec.latents`."""
        shapes = [stage.posterior.latent_shape for stage in self.inference_stages]
        return tuple(shapes[latent.level - 1] for latent in self.spec.latents)

    def bottom_up(self, images: tf.Tensor, noise: Noise, *, training: bool = False) -> Features:
        """The bottom-up pass.

        Args:
          images: [rows, *spec.image_shape] in [0, 1].
          noise: of the bottom-up draws and the dropout.
          training: whether dropout is active.
        """
        d_bu = d_td = self.likelihood.network_input(images)
        skip = None
        maps, draws = [], []
        for stage in self.inference_stages:
            d_bu, d_td = stage.deterministic(d_bu, d_td, skip, noise, training)
            skip = tf.concat([d_bu, d_td], axis=-1)
            maps.append(d_td)
            if stage.merge is None:
                latent = self.spec.latent(stage.level, Branch.BOTTOM_UP)
                draws.append(_draw(stage.posterior(d_bu), latent, noise))
                d_bu = stage.latent_map(draws[-1].z)
        merged = stage.merge(tf.concat([d_td, d_bu], axis=-1), noise=noise, training=training)
        return Features(tuple(maps), tuple(draws), stage.posterior(merged))

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
            rows = tf.shape(features.maps[0])[0]
        elif any(isinstance(source, plans.Posterior) for source in plan):
            raise ValueError("plan: it draws from q(z|x), so the top-down pass needs features")
        stats: dict[LatentSpec, LatentStats] = {}

        top = self.spec.latent(self.spec.num_levels, Branch.TOP)
        draw = None
        if isinstance(sources[top], plans.Posterior):
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
            td = self.spec.latent(level, Branch.TOP_DOWN)
            draw = None
            if isinstance(sources[td], plans.Posterior):
                merged = stage.merge(features.maps[level - 1], d, noise=noise, training=training)
                draw = _draw(stage.posterior_td(merged), td, noise)
            stats[td] = _resolve(td, sources[td], stage.prior_td(d), draw, noise)
            bu = self.spec.latent(level, Branch.BOTTOM_UP)
            draw = features.bottom_up[level - 1] if features else None
            stats[bu] = _resolve(bu, sources[bu], stage.prior_bu(d), draw, noise)
            z = tf.concat([stats[td].z, stats[bu].z], axis=-1)
        parameters = self.output_layer(tf.nn.elu(d))
        px = self.likelihood.distribution(parameters)
        return Output(px, parameters, tuple(stats[latent] for latent in latents))

    def call(
        self, images: tf.Tensor, *, plan: plans.Plan, noise: Noise, training: bool = False
    ) -> Output:
        """Both passes: images [rows, *spec.image_shape] in [0, 1] to `Output`."""
        features = self.bottom_up(images, noise, training=training)
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
        return scoring.sample(self, num_samples, seed=seed, temperature=temperature)

    def score(
        self,
        images,
        *,
        num_importance_samples: int = 1,
        k: int = 0,
        seed: int = 0,
        max_rows: int = 256,
    ) -> "scoring.Score":
        """The bound on log p(x) of each image; with k > 0 the anomaly score L^{>k}.

        Args:
          images: [images, *spec.image_shape] in [0, 1].
          num_importance_samples: K of L_K; 1 gives the ELBO.
          k: latents of levels <= k are drawn from the prior (paper, eq. 2).
          seed: the same seed gives the same scores, whatever max_rows is, up to rounding.
          max_rows: at most this many (image, sample) pairs are in memory at once.

        Raises:
          ValueError: images of a wrong shape or range, or K, k or max_rows out of range.
        """
        return scoring.score(
            self,
            images,
            num_importance_samples=num_importance_samples,
            k=k,
            seed=seed,
            max_rows=max_rows,
        )


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
    log_p = p.log_prob(z)
    return LatentStats(z, p, None, log_p, log_p)


def _shape_of(gaussian: DiagonalGaussian) -> tuple:
    mean = gaussian.mean()
    return (tf.shape(mean)[0], *mean.shape[1:])


def _standard_gaussian(rows, shape: tuple[int, ...]) -> DiagonalGaussian:
    zeros = tf.zeros((rows, *shape))
    return DiagonalGaussian(zeros, zeros)
