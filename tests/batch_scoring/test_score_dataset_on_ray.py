"""score_dataset on Ray: killed and stopped on the way, and the scores of `evaluate`."""

import csv
import os
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import command, last_json, perturbed
from PIL import Image

from biva_tf import api
from biva_tf.evaluation.evaluator import Evaluator
from biva_tf.evaluation.scoring_config import ScoringConfig
from biva_tf.runs import config
from biva_tf.serving import exporting

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

NUMBER, PART, CORRUPT = 160, 16, 70


@pytest.fixture(scope="module")
def trained(digits_spec):
    model = perturbed(digits_spec)
    model.training = api.Training(settings=config.defaults())
    return model


@pytest.fixture(scope="module")
def arguments(trained, tmp_path_factory):
    """All but --output: an export, and a folder of grey digits, one of them corrupt."""
    folder = tmp_path_factory.mktemp("scored")
    exporting.export(trained, folder / "models")
    pictures = folder / "pictures"
    pictures.mkdir()
    for i, pixels in enumerate(trained.images().pixels[:NUMBER]):
        Image.fromarray(pixels[..., 0]).save(pictures / f"{i:04}.png")
    corrupt = pictures / f"{CORRUPT:04}.png"
    corrupt.write_bytes(corrupt.read_bytes()[:100])
    return (
        *(
            "-m",
            "biva_tf.score_dataset",
            f"--export_dir={folder / 'models'}",
            f"--input={pictures}",
        ),
        *("--k=1", "--iw_samples=10", "--seed=5", f"--part_size={PART}", "--encodings"),
    )


def _wait_for_parts(process, folder, number):
    while process.poll() is None and len(_parts(folder)) < number:
        time.sleep(0.02)
    assert process.poll() is None, process.stderr.read()[-3000:]


def _parts(folder):
    return {path.name: path.read_bytes() for path in folder.glob("parts/[0-9]*")}


def _worker_of(ancestor):
    """A process that scores and descends from another one."""
    parents, workers = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rsplit(")")[-1].split()[1]
            )
            if (folder / "cmdline").read_text().startswith("ray::MapWorker"):
                workers.append(int(folder.name))
        except OSError:  # it has ended
            continue

    def descends(pid):
        return pid == ancestor or (pid in parents and descends(parents[pid]))

    return next(pid for pid in workers if descends(pid))


def test_a_stopped_command_goes_on_though_a_process_is_killed(trained, arguments, tmp_path):
    """With the scores of biva_tf.evaluate, and the same bytes from two processes and from one."""
    folder = tmp_path / "scores"
    arguments = (*arguments, f"--output={folder}")
    with command(*arguments, "--workers=2") as process:
        _wait_for_parts(process, folder, 3)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 143, err[-3000:]
    assert err.splitlines()[-1] == "score_dataset: SIGTERM: stopped. The same command goes on"
    assert not (folder / "skipped.csv").exists()

    by_two = _parts(folder)
    _, *again = sorted(by_two)
    for name in again:  # so that the second start writes them, too
        (folder / "parts" / name).unlink()
    with command(*arguments, "--workers=1") as process:
        _wait_for_parts(process, folder, 2)
        os.kill(_worker_of(process.pid), signal.SIGKILL)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    assert "note: a process of the pool died; its part is scored again" in err.splitlines()
    result = last_json(out)
    assert (result["images"], result["skipped"]) == (NUMBER, 1)
    assert result["computed"] == NUMBER - PART
    found = _parts(folder)
    assert len(found) == NUMBER // PART
    assert {name: found[name] for name in by_two} == by_two

    settings = ScoringConfig(10, (1,), seed=5)
    images = trained.images().first(NUMBER)
    expected = Evaluator(trained, settings, 256, tmp_path).scores(images, "x").examples
    table = pq.read_table(folder / "parts")
    ids = np.delete(np.arange(NUMBER), CORRUPT)
    np.testing.assert_array_equal(table["id"], ids)
    kl = {f"KL_{z}_nats": expected["kl"][:, i] for i, z in enumerate(trained.spec.kl_names)}
    of_evaluate = {
        "L_K_nats": expected["bound"],
        "L_1_nats": expected["elbo"],
        "reconstruction_nats": expected["reconstruction"],
        "L_above_1_nats": expected["above_1"],
        "LLR_above_1_nats": expected["above_0"] - expected["above_1"],
        **kl,
    }
    for name, values in of_evaluate.items():
        np.testing.assert_allclose(table[name], values[ids], rtol=1e-5, atol=1e-3, err_msg=name)
    with open(folder / "skipped.csv") as file:
        (skipped,) = csv.DictReader(file)
    assert skipped["id"] == str(CORRUPT) and skipped["source"].endswith("/0070.png")
    assert result["l_k_nats"] == pytest.approx(expected["bound"][ids].mean(), rel=1e-5)
