"""Results are read as they were written, also those of earlier versions."""

import dataclasses
import json

import numpy as np
import pytest

from biva_tf import pretrained
from biva_tf.evaluation import records
from biva_tf.evaluation.classes import Classification
from biva_tf.evaluation.detection import Detection
from biva_tf.evaluation.records import AnomalyRecord, ClassificationRecord, RecordError
from biva_tf.evaluation.scoring_config import ScoringConfig
from biva_tf.evaluation.summary import Mean
from biva_tf.reports.results import latent_table

MEANS = {k: (Mean(-1.0 - k, 0.1, 0.5, 0.05), Mean(-3.0, None, 0.9, None)) for k in (1, 0)}
ANOMALY = AnomalyRecord(
    *("a", "b", (5, 1), 30, ScoringConfig(2, [0, 1], False), MEANS, MEANS),
    {"-L^{>1}": Detection(0.75, 0.5, 0.25)},
)


def test_an_evaluation_comes_back():
    path = pretrained.FOLDER / "mnist_10k_small" / "evaluation.json"
    record = records.read(path)
    written = json.loads(path.read_text())
    again = json.loads(json.dumps(record.to_plain()))
    assert written == {name: again[name] for name in written}  # an earlier version wrote fewer
    assert record.settings.iw_samples == 100 and record.summary.l_1.nats < record.summary.l_k.nats


def test_the_kl_in_closed_form_comes_back_and_has_a_column_of_its_own(tmp_path):
    record = records.read(pretrained.FOLDER / "mnist_10k_small" / "evaluation.json")
    assert not any("closed_kl_nats" in latent for latent in record.to_plain()["latents"])
    assert "KL in closed form, nats" not in latent_table(record).head
    latents = tuple(
        dataclasses.replace(z, closed_kl_nats=float(i))
        for i, z in enumerate(record.summary.latents)
    )
    summary = dataclasses.replace(record.summary, latents=latents)
    record = dataclasses.replace(record, summary=summary)
    records.write(tmp_path / "a.json", record)
    assert records.read(tmp_path / "a.json").summary.latents == latents
    table = latent_table(record)
    assert table.head[-1] == "KL in closed form, nats"
    assert [row[-1] for row in table.rows] == [f"{i}.000" for i in range(len(latents))]


def test_an_anomaly_detection_comes_back(tmp_path):
    records.write(tmp_path / "new" / "a.json", ANOMALY)
    assert records.read(tmp_path / "new" / "a.json") == ANOMALY


def test_an_anomaly_detection_of_an_earlier_version_has_no_importance_weighted_bounds(tmp_path):
    plain = ANOMALY.to_plain()
    del plain["L_K_above"]
    (tmp_path / "a.json").write_text(json.dumps(plain))
    assert records.read(tmp_path / "a.json").bounds_above == {}


def test_a_classification_comes_back(tmp_path):
    summary = Classification(4, 0.25, 0.5, 0.125, np.array([[2, 0], [1, 1]]))
    record = ClassificationRecord("a", "test", 30, 10, 0, summary)
    records.write(tmp_path / "a.json", record)
    again = records.read(tmp_path / "a.json")
    assert again.to_plain() == record.to_plain()
    np.testing.assert_array_equal(again.summary.confusion, summary.confusion)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"l_1": 3}', '{"l_1": {}, "detection": {}}'])
def test_another_file_is_an_error_that_names_it(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(RecordError, match=r"a\.json: expected the result of an evaluation"):
        records.read(tmp_path / "a.json")


def test_a_record_is_known_by_the_kind_it_names_not_by_its_fields(tmp_path):
    records.write(tmp_path / "a.json", ANOMALY)
    plain = json.loads((tmp_path / "a.json").read_text())
    assert plain["kind_of_file"] == "anomaly"
    (tmp_path / "a.json").write_text(json.dumps(plain | {"l_1": 3, "confusion": []}))
    assert records.read(tmp_path / "a.json") == ANOMALY
