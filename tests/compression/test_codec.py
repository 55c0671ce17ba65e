"""Images come back bit for bit, in as many bits as the bound says, and no damage goes unnoticed.

The models are random, so most codes are longer than the pixels. Here they are written all the same;
test_stored.py checks that pixels are stored in their place.
"""

import dataclasses
import math
import struct
import zlib

import numpy as np
import pytest
from conftest import perturbed, random_images, stage

import biva_tf
from biva_tf.compression import environment
from biva_tf.compression.codec import Codec
from biva_tf.compression.container import Reader
from biva_tf.compression.errors import BlockError, CompressionError
from biva_tf.compression.header import FormatError
from biva_tf.compression.options import Options
from biva_tf.errors import SettingsError
from biva_tf.model import architectures
from biva_tf.model.spec import Classes, ConvLatent, DenseLatent, LogisticMixture, ModelSpec

SMALL = Options(rows=4, block=6, seed=3)


def _grey():
    return ModelSpec(
        image_shape=(8, 8, 1),
        stages=(stage(ConvLatent(2, (3, 3)), (2, 2)), stage(DenseLatent(3), (2, 2))),
        likelihood=LogisticMixture(2),
        log_variance="free",
    )


SPECS = {
    "biva, binary": architectures.tiny_dense,
    "biva, colour": architectures.tiny_conv,
    "biva, grey, free variance": _grey,
    "lvae, binary": lambda: architectures.lvae(architectures.tiny_dense()),
    "lvae+, colour": lambda: architectures.lvae_plus(architectures.tiny_conv()),
    "vae, binary": lambda: architectures.vae(architectures.tiny_dense()),
}


@pytest.fixture(scope="module", autouse=True)
def _every_batch_is_coded():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("biva_tf.compression.codec._pixel_bits", lambda pixels, values: math.inf)
        yield


@pytest.fixture(scope="module")
def binary():
    return perturbed("tiny_dense")


@pytest.fixture(scope="module")
def codec(binary):
    return Codec(binary)


@pytest.fixture(scope="module")
def images(binary):
    return random_images(binary.spec, 20)


@pytest.fixture(scope="module")
def data(codec, images):
    return codec.compress(images, SMALL).data


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_random_images_come_back(spec):
    model = perturbed(spec())
    codec = Codec(model)
    for number in (1, 7):  # 7: in a block of 6 and one of 1, both with batches that are not full
        images = random_images(model.spec, number, seed=number)
        back = codec.decompress(codec.compress(images, SMALL).data)
        assert back.dtype == np.float32
        np.testing.assert_array_equal(back, images)


def test_extreme_images_come_back(codec, binary):
    shape = (3, *binary.spec.image_shape)
    for images in (np.zeros(shape, np.uint8), np.ones(shape, np.uint8)):
        np.testing.assert_array_equal(codec.decompress(codec.compress(images, SMALL).data), images)


def test_a_network_whose_numbers_overflow_still_gives_images_back():
    model = perturbed("tiny_conv")
    for variable in model.trainable_variables:
        variable.assign(variable * 1e12)
    images = random_images(model.spec, 5)
    codec = Codec(model)
    np.testing.assert_array_equal(codec.decompress(codec.compress(images, SMALL).data), images)


def test_images_come_back_in_their_form(binary):
    """Through the Python API, which is the codec with its defaults."""
    bits = random_images(binary.spec, 3).astype(np.uint8)
    for images in (bits, bits * 255, bits.astype(np.float32), bits.astype(np.float64)):
        back = binary.decompress(binary.compress(images, rows=4))
        assert back.dtype == (np.uint8 if images.dtype == np.uint8 else np.float32)
        np.testing.assert_array_equal(back, images)


def test_images_in_another_order_in_memory_give_the_same_file(binary):
    bits = random_images(binary.spec, 3)
    for images in (np.asfortranarray(bits), bits[::-1, ::-1][::-1, ::-1]):
        assert binary.compress(images, rows=4) == binary.compress(bits, rows=4)


@pytest.mark.parametrize("name", ["tiny_dense", "tiny_conv"])
def test_the_length_is_the_bound(name):
    """Within the error of the two estimates: each draws the latents once or a few times."""
    model = perturbed(name)
    images = random_images(model.spec, 200)
    compressed = Codec(model).compress(images, Options(rows=32))
    bits = compressed.stack_bits - compressed.initial_bits
    bounds = [-model.score(images, seed=seed).elbo_nats.sum() / np.log(2) for seed in range(4)]
    error = max(3 * np.std(bounds), 0.004 * np.mean(bounds))
    assert abs(bits - np.mean(bounds)) < error
    assert compressed.initial_bits < 3000  # of one image, not of a batch


def test_the_same_images_give_the_same_file(codec, images, data):
    assert codec.compress(images, SMALL).data == data
    other = codec.compress(images, dataclasses.replace(SMALL, seed=4)).data
    assert other != data and len(other) == pytest.approx(len(data), rel=0.1)


def _block_starts(data):
    """Where each block begins, and where the last one ends."""
    reader = Reader(data)
    starts = [len(reader.header.pack())]
    for number in range(reader.header.blocks):
        starts.append(starts[-1] + len(reader.block(number).pack(reader.header.format)))
    assert starts[-1] == len(data)
    return starts


@pytest.mark.parametrize("block", [0, 2, 3])
def test_damage_names_the_block_and_leaves_the_images_before_it(codec, images, data, block):
    starts = _block_starts(data)
    damaged = bytearray(data)
    damaged[(starts[block] + starts[block + 1]) // 2] ^= 4
    for broken in (bytes(damaged), data[: starts[block + 1] - 1]):
        with pytest.raises(BlockError, match=f"^block {block} of 4: the file is") as found:
            codec.decompress(broken)
        assert found.value.block == block
        np.testing.assert_array_equal(found.value.images, images[: block * SMALL.block])


def test_a_file_cut_at_any_byte_is_one_line(codec, data):
    starts = _block_starts(data)
    for length in range(len(data)):
        if length in starts or length < starts[0]:  # the others decode the blocks before
            with pytest.raises(CompressionError) as found:
                codec.decompress(data[:length])
        else:
            with pytest.raises(CompressionError) as found:
                Reader(data[:length]).check()
        assert "\n" not in str(found.value)


def test_a_damaged_header_is_an_error(codec, data):
    damaged = bytearray(data)
    damaged[20] ^= 1
    for broken in (bytes(damaged), data[:20], b""):
        with pytest.raises(FormatError):
            codec.decompress(broken)


def _forged(data, **changes):
    reader = Reader(data)
    header = dataclasses.replace(reader.header, **changes)
    return header.pack() + data[len(reader.header.pack()) :]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_shape": (8, 7, 1)}, r"the header: image_shape: expected the model's \(8, 8, 1\)"),
        ({"image_shape": (60000, 60000, 3)}, "the header: image_shape: expected the model's"),
        ({"exponents": (0,)}, "the header: latents: expected the model's 3, got 1"),
        ({"images": 2**60}, "block 3 of .*: expected batches of 6 images"),
        ({"images": 2**60, "block": 2**32 - 1}, "block 0 of .*: expected batches of 4294967295"),
        ({"images": 1}, "block 0 of 1: expected batches of 1 images"),
        ({"rows": 1}, "block 0 of 4: expected batches of 1 to 1 images"),
        ({"exponents": (60, 60, 60)}, "block 0 of 4: floating point differs"),
        ({"exponents": (-60, -60, -60)}, "block 0 of 4: floating point differs"),
        ({"format": 2}, "block 0 of 4: the file is"),
    ],
)
def test_a_wrong_header_with_a_right_checksum_is_one_line(codec, data, changes, message):
    with pytest.raises(CompressionError, match=f"^{message}") as found:
        codec.decompress(_forged(data, **changes))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("number", [30, pytest.param(3000, marks=pytest.mark.faults)])
def test_random_headers_are_one_line_or_give_the_images(codec, images, data, number):
    """With right checksums. What a header changes without harm, as the versions, is no error."""
    rng, right = np.random.default_rng(1), 0
    own = Reader(data).header.pack()
    for _ in range(number):
        fields = bytearray(own[7:-4])
        for _ in range(rng.integers(1, 3)):
            at = int(rng.integers(8, len(fields)))
            fields[at] = int(rng.choice([0, 1, 255, fields[at] ^ 1, rng.integers(256)]))
        fields[22:24] = own[29:31] if fields[23] == 0 else fields[22:24]  # rows: a graph for each
        head = own[:7] + bytes(fields)
        try:
            back = codec.decompress(head + struct.pack("<I", zlib.crc32(head)) + data[len(own) :])
        except CompressionError as e:
            assert "\n" not in str(e)
        else:
            # Another form is no harm either: the same pixels, of another dtype.
            scale = 255 if back.max() > 1 else 1
            np.testing.assert_array_equal(back, scale * images)
            right += 1
    assert right > 0


def test_words_that_run_out_are_an_error(codec, data):
    """Blocks with right checksums that have too few words, none, or a last one of 0."""
    reader = Reader(data)
    header = dataclasses.replace(reader.header, images=6)
    block = reader.block(0)
    for words in (block.words[-3:], block.words[:0], np.append(block.words, np.uint32(0))):
        broken = header.pack() + dataclasses.replace(block, words=words).pack(1)
        with pytest.raises(BlockError, match=r"^block 0 of 1: floating point differs"):
            codec.decompress(broken)


def test_another_model_is_told_apart(data):
    with pytest.raises(CompressionError, match="made with another model, whose hash is"):
        Codec(perturbed("tiny_dense", seed=1)).decompress(data)


def test_a_model_that_was_given_a_ceiling_reads_its_older_files(data, images):
    later = perturbed("tiny_dense").with_ceiling(0.01)  # low, so that decoding under it would fail
    np.testing.assert_array_equal(Codec(later).decompress(data), images)


@pytest.mark.parametrize("change", [1e-3, 0.5])
def test_other_floating_point_is_told_apart(data, monkeypatch, change):
    """A model that computes differently stands for another machine.

    After a small change other images come out, after a large one impossible latents.
    """
    other = perturbed("tiny_dense")
    own = environment.model_hash(other)
    for variable in other.trainable_variables:
        variable.assign(variable * (1 + change))
    monkeypatch.setattr(environment, "model_hash", lambda *_: own)
    message = r"^block \d of 4: floating point differs .* TF_NUM_INTRAOP_THREADS=\d"
    with pytest.raises(BlockError, match=message):
        Codec(other).decompress(data)


def test_initial_bits_that_do_not_come_back_are_an_error(codec, data):
    """The last block holds them: here, those of another seed."""
    reader = Reader(data)
    header = dataclasses.replace(reader.header, seed=SMALL.seed + 1)
    changed = header.pack() + data[len(reader.header.pack()) :]
    with pytest.raises(BlockError, match=r"^block 3 of 4: .* initial bits do not come back"):
        codec.decompress(changed)


def test_the_weights_are_those_of_the_moment(images):
    model = perturbed("tiny_dense")
    codec = Codec(model)
    first = codec.compress(images, SMALL).data
    for variable in model.trainable_variables:
        variable.assign(0.5 * variable)
    second = codec.compress(images, SMALL).data
    np.testing.assert_array_equal(codec.decompress(second), images)
    with pytest.raises(CompressionError, match="another model"):
        codec.decompress(first)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 7, 1)), r"shape \[n >= 1, 8, 8, 1\], got \(2, 8, 7, 1\)"),
        (np.zeros((0, 8, 8, 1)), r"shape \[n >= 1, 8, 8, 1\], got \(0, 8, 8, 1\)"),
        (np.full((2, 8, 8, 1), 0.5), r"expected 0 and the greatest value .*, got 0.5 in image 0"),
        (np.full((2, 8, 8, 1), np.nan), "got nan in image 0"),
        (np.full((2, 8, 8, 1), 7, np.uint8), "got 7 in image 0"),
    ],
)
def test_images_that_the_model_has_not_are_named(codec, images, message):
    with pytest.raises(CompressionError, match=message):
        codec.compress(images, SMALL)


def test_grey_values_between_bytes_are_an_error():
    codec = Codec(biva_tf.build("tiny_conv"))
    images = np.full((1, 8, 8, 3), 0.1234, np.float32)
    with pytest.raises(CompressionError, match=r"expected multiples of 1/255 .*, got 0.1234"):
        codec.compress(images)


def test_models_of_other_things_are_refused():
    with_classes = dataclasses.replace(architectures.tiny_dense(), classes=Classes(3))
    for spec, message in (("tiny_text", "got text"), (with_classes, "without classes")):
        with pytest.raises(CompressionError, match=message):
            Codec(biva_tf.build(spec))


@pytest.mark.parametrize("name,value", [("rows", 0), ("rows", 2**16), ("block", 0), ("seed", -1)])
def test_options_out_of_range_are_named(name, value):
    with pytest.raises(SettingsError, match=f"{name}: expected an integer in"):
        Options(**{name: value})
