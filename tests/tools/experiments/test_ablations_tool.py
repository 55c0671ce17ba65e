"""The models at equal steps, then at equal time, with all their scores."""

import json

import pytest
from conftest import run

from biva_tf.runs.run_dir import RunDir


@pytest.mark.slow
def test_equal_steps_then_equal_time(pictures):
    output = pictures / "runs"
    of_training = (
        *("--dataset=image_folder", f"--data_dir={pictures}", "--batch_size=4"),
        *("--validation_size=4", "--log_every=2", "--eval_every=4", "--checkpoint_every=4"),
    )
    command = (
        *(
            "-m",
            "tools.experiments.ablations",
            f"--output_dir={output}",
            "--architecture=tiny_conv",
        ),
        *("--steps=4", "--seeds=1", "--equal_time", "--iw_samples=3"),
        *("--out_dataset=image_folder", "--anomaly_samples=2", "--", *of_training),
    )
    first = run(*command, timeout=600)
    assert first.returncode == 0, first.stderr[-3000:]
    found = json.loads((output / "ablations.json").read_text())
    seconds = found["seconds_per_step"]
    for steps, longer in zip(found["equal_steps"], found["equal_time"], strict=True):
        (at_steps,), (at_time,) = steps["results"], longer["results"]
        assert at_steps["step"] == 4
        assert at_time["step"] == round(4 * max(1, seconds["tiny_conv"] / seconds[steps["name"]]))
        assert at_steps["l_k"]["nats"] >= at_steps["l_1"]["nats"]
        # A data set cannot be told from itself.
        assert {d["auroc"] for d in at_steps["detections"].values()} == {0.5}
        assert f"{-at_steps['l_k']['nats']:.2f}" in first.stdout
        name = f"{steps['name']}_seed1"
        kept = json.loads((output / name / "summary.json").read_text())
        assert (kept["step"], kept["elbo_nats"]) == (4, at_steps["elbo_nats"])
        longest = RunDir(output / "equal_time" / name).metrics.read_text().splitlines()
        assert max(json.loads(line)["step"] for line in longest) == at_time["step"]
