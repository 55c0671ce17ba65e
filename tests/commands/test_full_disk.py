"""Commands on a disk that is full, and on the same disk once there is room."""

import subprocess

import numpy as np
import pytest
from conftest import run, run_state, train_args
from PIL import Image


def _resize(disk, size):
    subprocess.run(["mount", "-o", f"remount,size={size}k", disk], check=True)


def _left_over(disk):
    names = (path.name for path in disk.rglob("*"))
    return [n for n in names if "temp" in n or ".tmp" in n or n in (".lock", "incomplete")]


def _lines(result):
    assert result.returncode == 1, result.stderr[-3000:]
    assert "Traceback" not in result.stderr
    return result.stderr.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(
    "size, file",
    # KiB: while the data of the first checkpoint is written, while its index is, later.
    [(100, "checkpoints/ckpt-10"), (340, "checkpoints/ckpt-10"), (420, "weights/ckpt-20")],
)
def test_a_training_goes_on_bit_for_bit_once_there_is_room(size, file, disk, finished, digits_json):
    _resize(disk, size)
    args = train_args(disk / "model", digits_json)
    expected = "No space left on device; make room there, and run the same command again"
    assert _lines(run(*args))[-1] == f"train: {disk}/model/{file}: {expected}"
    assert not _left_over(disk)
    _resize(disk, 20_000)
    result = run(*args)
    assert result.returncode == 0, result.stderr[-3000:]
    expected, actual = run_state(finished[0]), run_state(disk / "model")
    assert [key for key in expected if expected[key] != actual.get(key)] == []


@pytest.mark.slow
def test_a_data_set_is_prepared_once_there_is_room(disk, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(60):
        pixels = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
    _resize(disk, 150)
    args = ("--dataset=image_folder", f"--source={folder}", f"--data_dir={disk}")
    command = ("-m", "biva_tf.prepare_data", *args)
    assert _lines(run(*command)) == [
        f"prepare_data: {disk}/biva_tf_image_folder/1.0.0: No space left on device; make room "
        "there, and run the same command again"
    ]
    assert not list(disk.iterdir())
    _resize(disk, 20_000)
    result = run(*command)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.startswith("image_folder: 54 train, 6 test images of 32x32x3 (")
