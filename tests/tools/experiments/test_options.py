"""Each option of a model or an objective at equal time."""

import json

import pytest
from conftest import run

from biva_tf.errors import SettingsError
from biva_tf.model import architectures
from biva_tf.model.spec import from_plain, to_plain
from tools.experiments import options


@pytest.mark.parametrize("name", options.OPTIONS)
def test_an_option_changes_the_model_or_a_flag(name):
    base = architectures.get("small_l5")
    option = options.OPTIONS[name]
    changed = option.spec(base)
    assert (changed != base or bool(option.flags)) == (name != options.PLAIN)
    assert from_plain(to_plain(changed)) == changed


def test_what_cannot_be_compared_is_refused(tmp_path):
    def refused(**changes):
        with pytest.raises(SettingsError) as e:
            options.run(options.OptionsSettings(output_dir=str(tmp_path), **changes))
        return str(e.value)

    assert "expected some of plain, residual_posterior" in refused(options=("plain", "flow"))
    assert "expected plain first" in refused(options=("attention",))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_an_option_trains_for_as_long_as_the_plain_model(pictures):
    output = pictures / "runs"
    of_training = (
        *("--dataset=image_folder", f"--data_dir={pictures}", "--batch_size=4"),
        *("--validation_size=4", "--log_every=2", "--eval_every=4", "--checkpoint_every=4"),
    )
    command = (
        *("-m", "tools.experiments.options", f"--output_dir={output}", "--seeds=1", "--steps=4"),
        *("--architecture=tiny_conv", "--options=plain,residual_posterior", "--", *of_training),
    )
    first = run(*command, timeout=600)
    assert first.returncode == 0, first.stderr[-3000:]
    plain, residual = json.loads((output / "options.json").read_text())
    assert plain["steps"] == 4
    rate = plain["seconds_per_step"] / residual["seconds_per_step"]
    assert residual["steps"] == max(1, round(4 * rate))
    for row in (plain, residual):
        (elbo,) = row["elbo_nats"]
        kept = json.loads((output / f"{row['name']}_seed1" / "summary.json").read_text())
        assert (kept["step"], kept["elbo_nats"]) == (row["steps"], elbo)
        assert f"{-elbo:.2f}" in first.stdout
    config = json.loads((output / "residual_posterior_seed1" / "config.json").read_text())
    assert config["spec"]["posterior"] == "residual"
