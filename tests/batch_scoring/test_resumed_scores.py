"""score_dataset that goes on: what is there is looked at, so that old and new scores never mix."""

import contextlib
import dataclasses
import re
import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stand_in_export
from PIL import Image

from biva_tf import extras, score_dataset
from biva_tf.batch_scoring import pool, sealed
from biva_tf.batch_scoring.output import OutputError
from biva_tf.batch_scoring.scorer import PartScorer
from biva_tf.errors import Setting
from biva_tf.locks import LockedError, only_one

NUMBER, PART = 20, 8
NAMES = [f"{i:06}.parquet" for i in range(3)]


class _Here(contextlib.nullcontext):
    """Stands for the pool: scores in this process, and notes the parts that it scores."""

    scored_parts: ClassVar[list[int]] = []

    @staticmethod
    def between():
        """What happens after each part."""

    def __init__(self, workers, address):
        super().__init__(self)
        self.workers = workers

    def scored(self, parts, request):
        scorer = PartScorer(request)
        for part in parts:
            self.scored_parts.append(part.index)
            yield part.index, len(part), scorer.parquet(part)
            self.between()


@pytest.fixture(scope="module")
def export_dir(digits_spec, tmp_path_factory):
    return stand_in_export.write(tmp_path_factory.mktemp("models"), digits_spec)


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(pool, "Pool", _Here)
    monkeypatch.setattr(extras, "require", lambda *_: None)  # not Ray
    monkeypatch.setattr(_Here, "scored_parts", [])
    return _Here


PIXELS = np.random.default_rng(0).integers(0, 256, (NUMBER, 28, 28)).astype(np.uint8)


def _write_input(kind, folder, pixels):
    """Writes images, and returns what `--input` says."""
    if kind == "npz":
        np.savez(folder / "images.npz", images=pixels)
        return folder / "images.npz"
    if kind == "parquet":
        flat = pa.array(pixels.reshape(-1))
        column = pa.FixedSizeListArray.from_arrays(flat, 28 * 28)
        pq.write_table(
            pa.table({"image": column}),
            folder / "images.parquet",
            compression="none",
            use_dictionary=False,
            write_statistics=False,
        )
        return folder / "images.parquet"
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    for i, each in enumerate(pixels):
        Image.fromarray(each).save(pictures / f"{i:03}.bmp")  # of one size, whatever it shows
    return pictures


@pytest.fixture
def settings(here, export_dir, tmp_path):
    def make(kind="npz", output="scores", **changes):
        return score_dataset.ScoreDatasetSettings(
            export_dir=str(export_dir),
            input=str(_write_input(kind, tmp_path, PIXELS)),
            output=str(tmp_path / output),
            version=1,
            iw_samples=2,
            part_size=PART,
            **changes,
        )

    return make


def _parts(folder):
    return {path.name: path.read_bytes() for path in folder.glob("parts/[0-9]*")}


@pytest.mark.parametrize("kind", ["npz", "parquet", "pictures"])
def test_images_that_changed_are_never_mixed_with_the_scores_of_the_old(
    kind, settings, here, tmp_path
):
    asked = settings(kind)
    before = score_dataset.run(asked)
    old = _parts(tmp_path / "scores")
    (tmp_path / "scores" / "parts" / NAMES[2]).unlink()
    changed = PIXELS.copy()
    changed[9, 3, 3] ^= 128  # of the second part
    _write_input(kind, tmp_path, changed)
    with pytest.raises(OutputError) as e:
        score_dataset.run(asked)
    assert re.search(r"the ids 8 to 15 \(from .*images?|pictures.*\) have changed", str(e.value))
    assert str(e.value).endswith(f"what was made of the images before: {NAMES[1]}")
    assert {name: old[name] for name in NAMES[:2]} == _parts(tmp_path / "scores")
    # As the message says:
    (tmp_path / "scores" / "parts" / NAMES[1]).unlink()
    here.scored_parts.clear()
    again = score_dataset.run(asked)
    assert here.scored_parts == [1, 2]
    other = score_dataset.run(dataclasses.replace(asked, output=str(tmp_path / "other")))
    assert _parts(tmp_path / "scores") == _parts(tmp_path / "other")
    np.testing.assert_array_equal(again.scores.bounds, other.scores.bounds)
    assert (again.scores.bounds != before.scores.bounds).nonzero()[0].tolist() == [9]


def test_images_that_change_while_they_are_scored_are_told(settings, here, monkeypatch, tmp_path):
    asked = settings("pictures")
    changed = PIXELS.copy()
    changed[0] = 255 - changed[0]
    change = staticmethod(lambda: _write_input("pictures", tmp_path, changed))
    monkeypatch.setattr(here, "between", change)
    with pytest.raises(OutputError, match=r"the ids 0 to 7 .* have changed"):
        score_dataset.run(asked)


def test_nothing_is_scored_again_if_all_is_sound(settings, here, tmp_path):
    asked = settings()
    first = score_dataset.run(asked)
    parts = _parts(tmp_path / "scores")
    here.scored_parts.clear()
    (tmp_path / "scores" / "parts" / f".{NAMES[1]}.7.tmp").write_bytes(b"half")
    shutil.copyfile(asked.input, tmp_path / "copy")  # the same bytes at another time
    (tmp_path / "copy").replace(asked.input)
    again = score_dataset.run(asked)
    assert here.scored_parts == [] and again.computed == 0
    np.testing.assert_array_equal(again.scores.bounds, first.scores.bounds)
    assert _parts(tmp_path / "scores") == parts
    assert len(list((tmp_path / "scores" / "parts").iterdir())) == 3


def test_damaged_parts_are_named_and_made_again(settings, here, tmp_path, capsys):
    asked = settings()
    score_dataset.run(asked)
    sound = _parts(tmp_path / "scores")
    path = tmp_path / "scores" / "parts" / NAMES[1]
    content = sound[NAMES[1]]
    flips = np.random.default_rng(0).integers(0, 8 * len(content), 6)
    damaged = [_flipped(content, bit) for bit in flips]
    for bad in (b"", content[:-7], bytes(len(content)), content[: len(content) // 2], *damaged):
        path.write_bytes(bad)
        here.scored_parts.clear()
        score_dataset.run(asked)
        assert here.scored_parts == [1] and _parts(tmp_path / "scores") == sound
        err = capsys.readouterr().err
        assert f"note: {path} is damaged (" in err and "is made again" in err


def _flipped(content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_flipped_bit_is_found(settings, tmp_path):
    score_dataset.run(settings())
    content = (tmp_path / "scores" / "parts" / NAMES[2]).read_bytes()
    sealed.check(content)
    for bit in np.random.default_rng(1).permutation(8 * len(content))[:2000]:
        with pytest.raises(sealed.DamageError):
            sealed.check(_flipped(content, bit))


def test_strangers_among_the_parts_are_named(settings, tmp_path):
    asked = settings()
    score_dataset.run(asked)
    folder = tmp_path / "scores" / "parts"
    score_dataset.run(settings(output="other", seed=1))
    of_other_run = tmp_path / "other" / "parts" / NAMES[1]
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "x.parquet")
    # Whatever stands there, the files stay as they are and their places are named.
    for source, name, why in (
        (of_other_run, NAMES[1], "it has the scores of another run"),
        (folder / NAMES[0], NAMES[1], "it is part 0"),
        (tmp_path / "x.parquet", NAMES[1], "it is a Parquet file of another kind"),
        (folder / NAMES[0], "000003.parquet", "there are 3 parts"),
        (tmp_path / "x.parquet", "mine.parquet", "there are 3 parts"),
    ):
        kept = _parts(tmp_path / "scores")
        shutil.copyfile(source, folder / name)
        with pytest.raises(OutputError) as e:
            score_dataset.run(asked)
        assert str(e.value).startswith(f"{folder / name}: expected only parts of these scores")
        assert f"({why})" in str(e.value)
        assert (folder / name).read_bytes() == source.read_bytes()
        (folder / name).unlink()
        if name in kept:
            (folder / name).write_bytes(kept[name])
    (folder / NAMES[2]).unlink()
    (folder / NAMES[2]).mkdir()
    with pytest.raises(OutputError, match=f"{NAMES[2]}: expected only parts"):
        score_dataset.run(asked)


def test_one_process_scores_into_a_folder(settings):
    asked = settings()
    named = Setting("output", asked.output)
    with (
        only_one(Path(asked.output), named, "scoring"),
        pytest.raises(LockedError, match=f"output={asked.output}: scoring is under way there"),
    ):
        score_dataset.run(asked)
    assert not Path(asked.output).exists()
