"""An output that cannot be written is answered before the work, in a line that names the flag."""

import dataclasses
from pathlib import Path

import pytest

from biva_tf import (
    classify,
    compress,
    decompress,
    evaluate,
    export,
    plot,
    prepare_data,
    report,
    sample,
    score_dataset,
    train,
)
from biva_tf.commands import outputs
from biva_tf.errors import SettingsError, UserError

NAME = "mnist_10k_small"
OF_INPUT = {"pretrained": NAME, "input": "mnist_10k"}
OUTPUTS = [
    (compress.CompressSettings(**OF_INPUT, output="f.biva"), "output"),
    (decompress.DecompressSettings(**OF_INPUT, output="f.npz"), "output"),
    (decompress.DecompressSettings(**OF_INPUT, output="pictures"), "output"),
    (evaluate.EvaluateSettings(pretrained=NAME, scores="f.csv"), "scores"),
    (classify.ClassifySettings(pretrained=NAME, predictions="f.csv"), "predictions"),
    (report.ReportSettings(pretrained=NAME, output="f.html"), "output"),
    (sample.SampleSettings(pretrained=NAME, output="f"), "output"),
]


@pytest.mark.parametrize(("settings", "name"), OUTPUTS)
def test_an_output_in_a_file_or_in_a_folder_that_cannot_be_written(
    settings, name, tmp_path, monkeypatch
):
    def at(folder):
        path = str(folder / getattr(settings, name))
        return dataclasses.replace(settings, **{name: path}), f"--{name}={path}: "

    monkeypatch.setattr(decompress.DecompressSettings, "read", lambda self: None)  # no file here
    missing, _ = at(tmp_path / "new" / "folder")
    missing.check_files()
    assert not any(tmp_path.iterdir())

    (tmp_path / "file").touch()
    inside, flag = at(tmp_path / "file" / "folder")
    with pytest.raises(SettingsError) as error:
        inside.check_files()
    said = f"expected a place in a folder, but {tmp_path / 'file'} is a file"
    assert error.value.with_flags() == flag + said

    # Root may write everywhere, so that no folder of a test is closed to it.
    monkeypatch.setattr(outputs.os, "access", lambda folder, mode: folder != tmp_path)
    closed, flag = at(tmp_path / "new")
    with pytest.raises(SettingsError) as error:
        closed.check_files()
    assert error.value.with_flags().startswith(f"{flag}the folder {tmp_path} cannot be written; ")


def _folders(tmp_path):
    """Settings by the flag of the folder that they write, which is FOLDER."""
    folder = str(tmp_path / "folder")
    Path(folder, "1").mkdir(parents=True)  # as an export
    Path(folder, "config.json").write_text("{}")  # as a run
    return {
        "train": (train.TrainSettings(folder), "model_dir"),
        "evaluate": (evaluate.EvaluateSettings(model_dir=folder), "model_dir"),
        "sample": (sample.SampleSettings(model_dir=folder), "model_dir"),
        "report": (report.ReportSettings(model_dir=folder), "model_dir"),
        "plot": (plot.PlotSettings(model_dir=folder), "model_dir"),
        "export": (export.ExportSettings(pretrained=NAME, export_dir=folder), "export_dir"),
        "score_dataset": (
            score_dataset.ScoreDatasetSettings(folder, "mnist_10k", folder),
            "output",
        ),
    }


@pytest.mark.parametrize(
    "command", ["train", "evaluate", "sample", "report", "plot", "export", "score_dataset"]
)
def test_a_folder_that_cannot_be_written_is_answered_before_the_work(
    command, tmp_path, monkeypatch
):
    settings, name = _folders(tmp_path)[command]
    settings.check_files()
    monkeypatch.setattr(outputs.os, "access", lambda folder, mode: False)
    with pytest.raises(SettingsError) as error:
        settings.check_files()
    folder = tmp_path / "folder"
    said = f"--{name}={folder}: the folder {folder} cannot be written; "
    assert error.value.with_flags().startswith(said)


def test_no_export_and_a_version_that_exists_are_answered_before_the_work(tmp_path):
    with pytest.raises(UserError, match=r"export_dir=.*: expected the versions of biva_tf.export"):
        score_dataset.ScoreDatasetSettings(tmp_path, "mnist_10k", tmp_path).check_files()
    (tmp_path / "3").mkdir()
    with pytest.raises(UserError, match=r"export_dir=.*: expected the version 2, found 3"):
        score_dataset.ScoreDatasetSettings(tmp_path, "mnist_10k", tmp_path, version=2).check_files()
    with pytest.raises(SettingsError, match="3 exists; an exported version is never written over"):
        export.ExportSettings(pretrained=NAME, export_dir=tmp_path, version=3).check_files()


def test_what_is_no_compressed_file_is_answered_before_the_work(tmp_path):
    (tmp_path / "f.biva").write_bytes(b"PNG, say")
    settings = decompress.DecompressSettings(
        pretrained=NAME, input=tmp_path / "f.biva", output=tmp_path / "f.npz"
    )
    with pytest.raises(UserError, match=r"^--input=.*/f.biva: expected"):
        settings.check_files()


PATHS = [
    (settings, field.name)
    for settings in {type(each): each for each, _ in OUTPUTS}.values()
    for field in dataclasses.fields(settings)
    if field.name in ("input", "output", "scores", "predictions")
]
PATHS += [
    (evaluate.EvaluateSettings(model_dir="run"), "model_dir"),
    (export.ExportSettings(model_dir="run", export_dir="e"), "export_dir"),
    (prepare_data.PrepareSettings("image_folder"), "source"),
    *((score_dataset.ScoreDatasetSettings("e", "i", "o"), n) for n in ("export_dir", "output")),
    (train.TrainSettings("run"), "model_dir"),
]


@pytest.mark.parametrize(("settings", "name"), PATHS)
def test_a_path_may_begin_with_the_home_folder(settings, name, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    there = dataclasses.replace(settings, **{name: "~/there.npz"})
    assert getattr(there, name) == f"{tmp_path}/there.npz"


def test_what_is_to_be_a_file_is_no_folder(tmp_path):
    with pytest.raises(SettingsError, match=r"^scores=.*: expected a file, got a folder"):
        outputs.check_file("scores", str(tmp_path))
