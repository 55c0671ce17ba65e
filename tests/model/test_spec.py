import dataclasses
import json

import pytest

import biva_tf
from biva_tf.model import architectures
from biva_tf.model.spec import (
    BlockSpec,
    Branch,
    ConvLatent,
    DenseLatent,
    ModelSpec,
    SpecError,
    StageSpec,
    from_plain,
    to_plain,
)


@pytest.mark.parametrize("name", architectures.ARCHITECTURES)
def test_json_gives_the_same_spec_back(name):
    spec = architectures.get(name)
    assert ModelSpec.from_json(spec.to_json()) == spec


def test_latents_are_in_the_order_of_the_paper():
    spec = architectures.get("mnist_small")
    assert [z.name for z in spec.latents] == ["z1_bu", "z1_td", "z2_bu", "z2_td", "z3"]
    assert [z.level for z in spec.latents] == [1, 1, 2, 2, 3]
    assert spec.latents[-1].branch is Branch.TOP


@pytest.mark.parametrize(
    ("name", "parameters", "variables"),
    [("mnist_l6", 31_550_946, 681), ("cifar10_l15", 102_948_560, 1674)],
)
def test_models_have_the_sizes_of_the_original(name, parameters, variables):
    model = biva_tf.build(name)
    assert model.count_params() == parameters
    assert len(model.trainable_variables) == variables


def test_cifar10_l10_has_ten_levels_and_its_docstring_says_our_choice():
    spec = architectures.get("cifar10_l10")
    assert spec.num_levels == 10
    assert "our choice" in architectures.cifar10_l10.__doc__


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BlockSpec(0, (3, 3)), "filters: expected an integer >= 1, got 0"),
        (lambda: BlockSpec(4, (3,)), "kernel: expected two integers"),
        (lambda: BlockSpec(4, (3, 3), (0, 1)), "stride: expected two integers"),
        (lambda: BlockSpec(True, (3, 3)), "filters"),
        (lambda: DenseLatent(-1), "units"),
        (lambda: ConvLatent(2, 3), "kernel"),
        (lambda: StageSpec((), DenseLatent(2)), "blocks: expected a non-empty"),
        (
            lambda: StageSpec((BlockSpec(4, (3, 3)),), 6),
            "latent: expected one of DenseLatent",
        ),
    ],
)
def test_the_error_for_a_wrong_part_names_the_field(make, message):
    with pytest.raises(SpecError, match=message.replace("(", r"\(")):
        make()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("image_shape", (28, 28), "image_shape: expected three integers"),
        ("stages", (), "stages: expected a non-empty"),
        ("likelihood", "gauss", "likelihood: expected one of Bernoulli, "),
        ("log_variance", "exp", "log_variance: expected one of softplus, free"),
        ("dropout_inference", 1.0, "dropout_inference: expected a number in"),
        ("dropout_generative", -0.1, "dropout_generative"),
    ],
)
def test_the_error_for_a_wrong_model_names_the_field(field, value, message):
    with pytest.raises(SpecError, match=message):
        dataclasses.replace(architectures.get("tiny_dense"), **{field: value})


def test_stages_of_different_depth_are_refused():
    two, one = architectures.get("tiny_dense").stages
    one = dataclasses.replace(one, blocks=one.blocks[:1])
    with pytest.raises(SpecError, match=r"stages\[1\].blocks: expected 2 blocks"):
        ModelSpec((8, 8, 1), (two, one))


def test_the_mixture_of_logistics_needs_1_or_3_channels():
    spec = architectures.get("tiny_conv")
    with pytest.raises(SpecError, match="1 or 3 channels"):
        dataclasses.replace(spec, image_shape=(8, 8, 2))


def _without(plain, *path):
    target = plain
    for key in path[:-1]:
        target = target[key]
    del target[path[-1]]
    return plain


def _with(plain, value, *path):
    target = plain
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return plain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: _with(p, 3, "colour"), "spec.colour: expected one of the fields"),
        (lambda p: _without(p, "image_shape"), "spec.image_shape: expected a value, got nothing"),
        (
            lambda p: _with(p, 0, "stages", 1, "blocks", 0, "filters"),
            "stages[1].blocks[0].filters: expected an integer >= 1, got 0",
        ),
        (
            lambda p: _with(p, "map", "stages", 0, "latent", "kind"),
            "stages[0].latent.kind: expected one of dense, conv, got 'map'",
        ),
        (
            lambda p: _with(p, [], "stages", 0, "latent", "kind"),
            "stages[0].latent.kind: expected one of dense, conv, got []",
        ),
        (lambda p: _with(p, 5, "stages", 0, "latent"), "stages[0].latent: expected an object"),
        (lambda p: _with(p, 5, "stages"), "stages: expected a list of stages, got 5"),
    ],
)
def test_the_error_for_wrong_json_names_the_path_of_the_field(change, message):
    plain = change(to_plain(architectures.get("tiny_dense")))
    with pytest.raises(SpecError) as error:
        from_plain(plain)
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["{", "", "[" * 5000])
def test_text_that_is_not_json_is_refused(text):
    with pytest.raises(SpecError, match="not JSON"):
        ModelSpec.from_json(text)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "spec.json"
    path.write_bytes(b"\xff\xff")
    with pytest.raises(SpecError, match=r"spec\.json: cannot read it: expected UTF-8"):
        architectures.read(str(path))


def test_the_error_for_an_unknown_architecture_lists_the_known_ones():
    with pytest.raises(SpecError, match=r"architecture: expected one of mnist_l6.*got 'mnist'"):
        biva_tf.build("mnist")


def test_an_architecture_is_read_from_a_file(tmp_path):
    spec = architectures.get("tiny_conv")
    path = tmp_path / "spec.json"
    path.write_text(spec.to_json())
    assert architectures.read(str(path)) == spec
    path.write_text(json.dumps({"image_shape": [8, 8, 1]}))
    with pytest.raises(SpecError, match=r"spec\.json: stages"):
        architectures.read(str(path))
    with pytest.raises(SpecError, match="cannot read"):
        architectures.read(str(tmp_path / "none.json"))
