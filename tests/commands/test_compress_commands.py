"""compress and decompress: across processes, files and folders, and what they say when they fail.

By a pretrained model, so that the hash of a file does not depend on a training here.
"""

import dataclasses
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, run
from PIL import Image

from biva_tf import compress, decompress
from biva_tf.compression import codec
from biva_tf.compression.container import Reader
from biva_tf.compression.errors import CompressionError
from biva_tf.data import picture_files
from biva_tf.data.reading import inputs
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.sources import DataError
from biva_tf.errors import SettingsError

NAME = "mnist_10k_small"


def _compress(folder, source, **changes):
    values = {"pretrained": NAME, "input": str(source), "output": str(folder / "f.biva")}
    return compress.run(compress.CompressSettings(**(values | changes)))


def _decompress(source, output, **changes):
    values = {"pretrained": NAME, "input": str(source), "output": str(output)}
    return decompress.run(decompress.DecompressSettings(**(values | changes)))


@pytest.fixture(scope="module")
def letters():
    """Binary images of 28x28 that are no digits."""
    with np.load(ROOT / "biva_tf/data/sources/letters_2k.npz") as file:
        images = file[file.files[0]][:5]
    return (images.reshape(-1, 28, 28, 1) > 127).astype(np.uint8) * np.uint8(255)


@pytest.fixture(scope="module")
def written(letters, tmp_path_factory):
    """A file of five letters, in blocks of two."""
    folder = tmp_path_factory.mktemp("compressed")
    np.savez(folder / "letters.npz", images=letters)
    return _compress(folder, folder / "letters.npz", batch=4, block=2)


def _process(command, *args, threads):
    env = {**os.environ, "TF_NUM_INTRAOP_THREADS": str(threads)}
    return subprocess.run(
        [sys.executable, "-m", f"biva_tf.{command}", f"--pretrained={NAME}", *args],
        cwd=ROOT,
        env=env,
        text=True,
        capture_output=True,
    )


def test_other_processes_with_other_threads_give_the_images_back(letters, tmp_path):
    """A batch of one row is where the number of threads would change sums."""
    npz, file, back = (tmp_path / name for name in ("i.npz", "f.biva", "back.npz"))
    np.savez(npz, images=letters[:2])
    args = (f"--input={npz}", f"--output={file}", "--batch=1", "--noverify")
    made = _process("compress", *args, threads=2)
    assert made.returncode == 0 and made.stderr == "", made.stderr
    result = json.loads(made.stdout.splitlines()[-1])
    assert result["images"] == 2 and result["bytes"] == file.stat().st_size
    found = _process("decompress", f"--input={file}", f"--output={back}", threads=3)
    assert found.returncode == 0 and found.stderr == "", found.stderr
    with np.load(back) as arrays:
        np.testing.assert_array_equal(arrays["images"], letters[:2])
        assert arrays["images"].dtype == np.uint8


def _read(path):
    images, _ = inputs.images(str(path), inputs.Reading(), (28, 28, 1), ReadingNotes())
    return images


def test_a_file_says_its_parts(written):
    compressed = written.compressed
    assert written.path.read_bytes() == compressed.data
    assert 0 < compressed.initial_bits < compressed.stack_bits < 8 * len(compressed.data)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_odd_pictures_among_likely_ones_take_no_more_than_their_pixels(letters, tmp_path, capsys):
    white, noise = np.full((6, 28, 28, 1), 255, np.uint8), np.random.default_rng(0)
    odd = np.concatenate([white, noise.integers(0, 2, white.shape, np.uint8) * np.uint8(255)])
    images = np.concatenate([letters, odd, letters])
    np.savez(tmp_path / "i.npz", images=images)
    settings = compress.CompressSettings(
        pretrained=NAME,
        input=str(tmp_path / "i.npz"),
        output=str(tmp_path / "f.biva"),
        batch=4,
    )
    compress._print(settings)
    first, *_, last = capsys.readouterr().out.splitlines()
    result = json.loads(last)
    assert 3 <= result["stored_batches"] < result["batches"]
    stored, of = result["stored_batches"], result["batches"]
    assert first.endswith(f"; {stored} of {of} batches stored as pixels")
    assert result["bytes"] < images.size / 8 + 200  # of which the header takes 130
    _decompress(tmp_path / "f.biva", tmp_path / "back.npz")
    np.testing.assert_array_equal(_read(tmp_path / "back.npz"), images)


def test_pictures_come_back_as_pictures(letters, tmp_path):
    folder, back = tmp_path / "in", tmp_path / "back"
    folder.mkdir()
    for number, image in enumerate(letters):
        Image.fromarray(image[..., 0]).save(folder / f"{number}.png")
    _compress(tmp_path, folder, batch=4, verify=False)
    _decompress(tmp_path / "f.biva", back)
    assert [path.name for path in sorted(back.iterdir())] == [f"{n:05}.png" for n in range(5)]
    np.testing.assert_array_equal(_read(back), letters)


@pytest.mark.parametrize("keep", [False, True])
def test_of_a_damaged_file_nothing_is_written_unless_asked_for(letters, written, tmp_path, keep):
    data = bytearray(written.path.read_bytes())
    data[-30] ^= 1
    (tmp_path / "f.biva").write_bytes(data)
    with pytest.raises(CompressionError, match=r"f\.biva: block 2 of 3: the file is damaged"):
        _decompress(tmp_path / "f.biva", tmp_path / "back.npz", keep_good=keep)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == ({"f.biva", "back.npz"} if keep else {"f.biva"})
    if keep:
        np.testing.assert_array_equal(_read(tmp_path / "back.npz"), letters[:4])


def test_another_model_is_one_error(written, tmp_path):
    with pytest.raises(
        CompressionError, match=r"--input=.*f\.biva: the file was made with another"
    ):
        _decompress(written.path, tmp_path / "back.npz", pretrained="fashion_small")
    assert not list(tmp_path.iterdir())


def test_a_forged_header_is_one_line(written, tmp_path):
    """Its checksum is right, and it says 2**40 images, or pictures of another size."""
    own = Reader(written.path.read_bytes()).header
    rest = written.path.read_bytes()[len(own.pack()) :]
    for name, changes, message in (
        ("many", {"images": 2**40}, "block 2 of 549755813888: expected batches of 2 images"),
        ("large", {"image_shape": (9, 9, 3)}, "the header: image_shape: expected the model's (28"),
    ):
        path = tmp_path / f"{name}.biva"
        path.write_bytes(dataclasses.replace(own, **changes).pack() + rest)
        args = (f"--pretrained={NAME}", f"--input={path}", f"--output={tmp_path / 'o.npz'}")
        found = run("-m", "biva_tf.decompress", *args)
        assert found.returncode == 1 and found.stdout == ""
        assert found.stderr.startswith(f"decompress: --input={path}: {message}"), found.stderr
        assert found.stderr.count("\n") == 1
    assert not (tmp_path / "o.npz").exists()


def test_a_result_that_does_not_come_back_is_not_written(letters, tmp_path, monkeypatch):
    np.savez(tmp_path / "i.npz", images=letters)
    monkeypatch.setattr(codec.Codec, "decompress", lambda self, data: letters[::-1])
    with pytest.raises(CompressionError, match="verification: other images come back"):
        _compress(tmp_path, tmp_path / "i.npz", batch=4)
    assert not (tmp_path / "f.biva").exists()


def test_wrong_inputs_and_outputs_are_named(letters, written, tmp_path):
    grey = np.full((1, 28, 28, 1), 99, np.uint8)
    np.savez(tmp_path / "grey.npz", images=grey)
    (tmp_path / "empty").mkdir()
    for source, error, message in (
        ("nonsense", SettingsError, "--input=nonsense: expected a folder, a file of images or a"),
        (tmp_path / "missing.npz", SettingsError, "missing.npz: expected a folder, a file of im"),
        (tmp_path / "empty", DataError, "empty: expected pictures, or .parquet, .npz or .npy"),
        (tmp_path / "grey.npz", CompressionError, "grey.npz: images: expected 0 and the greatest"),
    ):
        with pytest.raises(error, match=re.escape(message)):
            _compress(tmp_path, source)
    assert not (tmp_path / "f.biva").exists()
    picture_files.write(tmp_path / "full", letters)
    with pytest.raises(DataError, match="full: expected a new or an empty folder"):
        _decompress(written.path, tmp_path / "full")
    with pytest.raises(CompressionError, match=r"grey\.npz: expected a file of biva_tf\.compress"):
        _decompress(tmp_path / "grey.npz", tmp_path / "back.npz")
    with pytest.raises(SettingsError, match=r"--input=.*f\.biva: expected a compressed file, it"):
        _decompress(tmp_path / "f.biva", tmp_path / "back.npz")


def test_images_of_0_and_1_come_back_as_they_were(letters, tmp_path):
    np.savez(tmp_path / "i.npz", images=letters // 255)
    _compress(tmp_path, tmp_path / "i.npz", batch=4, verify=False)
    _decompress(tmp_path / "f.biva", tmp_path / "back.npz")
    with np.load(tmp_path / "back.npz") as arrays:
        np.testing.assert_array_equal(arrays["images"], letters // 255)


def test_an_input_is_not_written_over_and_a_folder_is_no_file(letters, tmp_path):
    np.savez(tmp_path / "i.npz", images=letters)
    before = (tmp_path / "i.npz").read_bytes()
    for command in (_compress, None):
        for output, message in (
            (tmp_path / "i.npz", "expected another file than input"),
            (tmp_path / "folder.npz", "expected a file, got a folder"),
        ):
            (tmp_path / "folder.npz").mkdir(exist_ok=True)
            with pytest.raises(SettingsError, match=message):
                if command:
                    command(tmp_path, tmp_path / "i.npz", output=str(output))
                else:
                    _decompress(tmp_path / "i.npz", output)
    assert (tmp_path / "i.npz").read_bytes() == before
