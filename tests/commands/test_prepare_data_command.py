import json
import re

import numpy as np
from conftest import last_json, run
from PIL import Image


def _prepare(*args):
    return run("-m", "biva_tf.prepare_data", *args)


def test_a_model_trains_on_the_prepared_pictures_of_a_user(tmp_path):
    folder, data_dir = tmp_path / "pictures", f"--data_dir={tmp_path / 'data'}"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(30):
        pixels = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
    result = _prepare("--dataset=image_folder", f"--source={folder}", data_dir)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "image_folder: 27 train, 3 test images of 8x8x3" in result.stdout
    command = (
        *("-m", "biva_tf.train", "--architecture=tiny_conv", "--dataset=image_folder", data_dir),
        *(f"--model_dir={tmp_path / 'model'}", "--batch_size=4", "--steps=2", "--log_every=1"),
    )
    trained = run(*command)
    assert trained.returncode == 0, trained.stderr[-3000:]
    validation = "5 to validate (a fifth of the images: validation_size)"
    assert f"image_folder: 22 to train, {validation}, 3 to test" in trained.stderr
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["settings"]["validation_size"] == 5
    again = run(*command)
    assert again.returncode == 0 and "differs" not in again.stderr
    assert last_json(trained.stdout)["step"] == 2
    # A grey data set does not fit a model of colour images.
    grey = run(
        "-m", "biva_tf.train", "--architecture=tiny_conv", f"--model_dir={tmp_path / 'other'}"
    )
    assert grey.returncode == 1
    assert "--dataset=mnist_10k has images of shape (28, 28, 1), the architecture" in grey.stderr
    assert re.search(
        r"of this shape are --architecture=mnist_l6 or .* mnist_sample or", grey.stderr
    )


def test_the_error_without_a_source_says_what_is_needed(tmp_path):
    result = _prepare("--dataset=celeba64", f"--data_dir={tmp_path}")
    assert result.returncode == 1
    for text in ("--source=FOLDER", "list_eval_partition.txt", "fc955bcb3ef8fbdf", "mmlab"):
        assert text in result.stderr
    assert "Traceback" not in result.stderr
