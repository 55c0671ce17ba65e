"""Parts of specs from a user's own file."""

import dataclasses
import json
import subprocess
import sys

import pytest

import biva_tf
from biva_tf.model import architectures, kinds
from biva_tf.model.priors import StandardPrior
from biva_tf.model.spec import ModelSpec, SpecError, from_plain, to_plain


@pytest.fixture(autouse=True)
def _kinds_of_this_test(monkeypatch):
    """What a test registers is unknown to the others."""
    tables = {family: kinds.known(family) for family in kinds.FAMILIES}
    monkeypatch.setattr(kinds, "_KINDS", tables)


def _likelihood(name="laplace", module="mine"):
    @dataclasses.dataclass(frozen=True)
    class Laplace(biva_tf.LikelihoodKind):
        values = (0.0, 1.0)
        scale: float = 1.0

        def make(self, image_shape):
            raise NotImplementedError

    Laplace.__module__ = module
    return biva_tf.register(name)(Laplace)


def test_a_registered_part_goes_through_json_like_the_others():
    spec = architectures.get("tiny_dense")
    spec = dataclasses.replace(spec, likelihood=_likelihood()(scale=2.0))
    assert json.loads(spec.to_json())["likelihood"] == {"kind": "laplace", "scale": 2.0}
    assert ModelSpec.from_json(spec.to_json()) == spec


def test_an_unknown_kind_lists_the_known_ones_and_says_how_to_register():
    plain = to_plain(architectures.get("tiny_dense"))
    plain["likelihood"] = {"kind": "laplace"}
    with pytest.raises(SpecError) as error:
        from_plain(plain)
    message = str(error.value)
    assert message.startswith(
        "likelihood.kind: expected one of bernoulli, discretized_logistic_mixture, gaussian, text, "
        "got 'laplace'"
    )
    assert "imported" in message and "@biva_tf.register('laplace')" in message


def test_the_same_class_may_be_registered_again_and_another_may_not():
    first, second = _likelihood(), _likelihood()
    assert kinds.known(biva_tf.LikelihoodKind)["laplace"] is second is not first
    with pytest.raises(
        SpecError, match=r"register\('laplace'\): mine\..*Laplace is the likelihood"
    ):
        _likelihood(module="other")
    with pytest.raises(SpecError, match=r"register\('bernoulli'\)"):
        _likelihood("bernoulli")
    assert kinds.known(biva_tf.LikelihoodKind)["laplace"] is second


def test_two_families_may_share_the_name_of_a_kind():
    @biva_tf.register("gaussian")
    @dataclasses.dataclass(frozen=True)
    class MyLatent(biva_tf.LatentKind):
        def make(self):
            raise NotImplementedError

    assert kinds.known(biva_tf.LatentKind)["gaussian"] is MyLatent
    assert kinds.known(biva_tf.LikelihoodKind)["gaussian"] is biva_tf.Gaussian


@dataclasses.dataclass(frozen=True)
class _NoMake(biva_tf.LatentKind):
    pass


@dataclasses.dataclass
class _NotFrozen(biva_tf.LatentKind):
    def make(self):
        raise NotImplementedError


class _NoDataclass(biva_tf.LatentKind):
    def make(self):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (_NoMake, "to have a method make"),
        (_NotFrozen, "to be a frozen dataclass"),
        (_NoDataclass, "to be a frozen dataclass"),
        (int, "derives from one of biva_tf.BlockKind, "),
        (3, "derives from one of biva_tf.BlockKind, "),
    ],
)
def test_what_cannot_be_registered_is_refused_when_it_is(cls, message):
    with pytest.raises(SpecError, match=message):
        biva_tf.register("mine")(cls)


@pytest.mark.parametrize("kind", ["", 3, None])
def test_a_kind_is_a_name(kind):
    with pytest.raises(SpecError, match="expected the name of a kind"):
        biva_tf.register(kind)


def test_the_json_of_a_spec_names_no_kind_of_gated_blocks_and_no_standard_prior():
    plain = to_plain(architectures.get("tiny_dense"))
    assert "top_prior" not in plain
    assert "kind" not in plain["stages"][0]["blocks"][0]
    named = json.loads(json.dumps(plain))
    named["top_prior"] = {"kind": "standard"}
    named["stages"][0]["blocks"][0]["kind"] = "gated"
    spec = from_plain(named)
    assert spec == from_plain(plain) and spec.top_prior == StandardPrior()


def test_registering_imports_no_tensorflow():
    code = "import sys, biva_tf.model.spec; assert not {'keras', 'tensorflow'} & set(sys.modules)"
    program = "import sys; sys.argv[0] = '-m'; " + code
    subprocess.run([sys.executable, "-c", program], check=True)
