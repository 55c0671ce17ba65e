"""The small files of a run that are damaged: one line says which file, and what is wrong."""

import json

import pytest

from biva_tf.model import architectures
from biva_tf.runs.config import RunConfig
from biva_tf.runs.metrics import read_metrics
from biva_tf.runs.run_dir import RunDir, RunDirError
from biva_tf.training.loop import Unfinished

NOT_JSON = {
    b"": "it is empty",
    b"\0" * 300: "expected JSON, got zero bytes",
    b'{"spec": {': "expected JSON (",
    b'{"a": "\xff"}': "expected UTF-8, got other bytes from the place 7 on",
    b"[" * 100_000: "nested too deeply",
    b"7": "expected an object",
    b"[]": "expected an object",
}
LINE = {"step": 5, "split": "train", "elbo": -1.5, "kl": {"z1": 0.5}}


@pytest.fixture
def run_dir(tmp_path):
    """The folder of a run with a config.json alone."""
    run_dir = RunDir(tmp_path)
    run_dir.write_config(architectures.get("tiny_dense"), RunConfig(steps=7))
    return run_dir


@pytest.mark.parametrize("content", NOT_JSON)
@pytest.mark.parametrize("name", ["config", "summary", "unfinished"])
def test_a_file_that_is_no_json_object_says_so(name, content, run_dir):
    path = getattr(run_dir, name)
    path.write_bytes(content)
    if name == "unfinished":  # whose reader names the file
        with pytest.raises(ValueError) as caught:
            Unfinished.read(path, 3)
        message = f"{path}: {caught.value}"
    else:
        with pytest.raises(RunDirError) as caught:
            run_dir.read() if name == "config" else run_dir.read_summary()
        message = str(caught.value)
    assert message.startswith(f"{path}: ") and NOT_JSON[content] in message
    assert "\n" not in message and len(message) < 400


@pytest.mark.parametrize("name", ["config", "summary", "metrics", "unfinished"])
def test_a_folder_in_place_of_a_file_says_so(name, run_dir):
    path = getattr(run_dir, name)
    path.unlink(missing_ok=True)
    path.mkdir()
    readers = {
        "config": run_dir.read,
        "summary": run_dir.read_summary,
        "metrics": run_dir.metric_lines,
        "unfinished": lambda: Unfinished.read(path, 3),
    }
    with pytest.raises(
        ValueError if name == "unfinished" else RunDirError, match=r"folder|directory"
    ):
        readers[name]()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"kl_weight": "1"}, "settings.kl_weight: expected a finite number >= 0, got '1'"),
        ({"binarize": "thresholt"}, "settings.binarize: expected one of auto, none"),
        ({"threshold": -5}, "settings.threshold: expected an integer in 0..254, got -5"),
        ({"colour": 1}, "settings.colour: there is no such setting"),
        ({"data_dir": None}, "settings.data_dir: expected a string, got None"),
    ],
)
def test_settings_of_a_run_are_checked_as_flags_are(change, message, run_dir):
    plain = json.loads(run_dir.config.read_text())
    plain["settings"] |= change
    run_dir.config.write_text(json.dumps(plain))
    with pytest.raises(RunDirError) as caught:
        run_dir.read()
    assert f"{run_dir.config}: " in str(caught.value) and message in str(caught.value)


@pytest.mark.parametrize("field", ["spec", "settings"])
def test_a_config_without_a_field_names_it(field, run_dir):
    plain = json.loads(run_dir.config.read_text())
    del plain[field]
    run_dir.config.write_text(json.dumps(plain))
    with pytest.raises(RunDirError, match=f"{field}: expected an object, got None"):
        run_dir.read()


@pytest.mark.parametrize(
    "last", [b'{"step": 10, "spl', b"\0" * 40 + b"\n", b'{"step": 10}\n', b"\xff\n", b"7\n"]
)
def test_a_broken_last_line_of_metrics_is_dropped_and_said(last, run_dir, capsys):
    whole = json.dumps(LINE).encode() + b"\n"
    run_dir.metrics.write_bytes(whole + last)
    assert run_dir.metric_lines() == (LINE,)
    said = capsys.readouterr().err
    assert said.startswith(f"note: {run_dir.metrics}: the last line is left out: ")
    assert read_metrics(run_dir) == {"train": [LINE]}
    note = run_dir.drop_metrics_after(20)
    assert note.startswith(f"{run_dir.metrics}: the last line is dropped: ")
    run_dir.append_metrics({**LINE, "step": 10})  # it is not glued to the broken one
    assert [line["step"] for line in run_dir.metric_lines()] == [5, 10]
    assert run_dir.drop_metrics_after(5) is None
    assert run_dir.metrics.read_bytes() == whole


def test_a_broken_line_in_the_middle_of_metrics_is_named_by_its_number(run_dir):
    whole = json.dumps(LINE) + "\n"
    for broken in ("{}\n", "\n", '{"step": 1, "split": "train", "elbo": "a"}\n'):
        run_dir.metrics.write_text(whole + broken + whole)
        with pytest.raises(RunDirError, match=r"metrics\.jsonl: line 2: .*; delete the line"):
            run_dir.drop_metrics_after(5)


def test_what_a_stopped_run_has_left_to_do_is_checked(tmp_path):
    path = tmp_path / "unfinished.json"
    good = {"loss": 1.0, "elbo": -1.0, "gradient_norm": 2.0}
    Unfinished(3, [good], evaluate=True).write(path)
    assert Unfinished.read(path, 3) == Unfinished(3, [good], True)
    assert Unfinished.read(path, 4) == Unfinished(4)
    for wrong in ({"interval": [{"loss": 1.0}]}, {"evaluate": 1}, {"step": "3"}, {"more": 1}):
        plain = {"step": 3, "interval": [good], "evaluate": False, **wrong}
        path.write_text(json.dumps(plain))
        with pytest.raises(ValueError, match="expected"):
            Unfinished.read(path, 3)
