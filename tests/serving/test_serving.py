"""An exported model behind gRPC and REST, and the client that checks servers."""

import json
import math
import re

import pytest
from conftest import ROOT, run, served
from wrong_answers import Altered

from biva_tf import api
from biva_tf.serving import checks as serving_checks
from biva_tf.serving import exporting


@pytest.fixture(scope="module")
def models(finished, tmp_path_factory):
    """The folder of an exported model."""
    folder = tmp_path_factory.mktemp("models")
    exporting.export(api.load(finished[0]), folder)
    return folder


@pytest.fixture(scope="module")
def ports(models, tmp_path_factory):
    with served(models, tmp_path_factory.mktemp("elsewhere")) as found:
        yield found


def test_serve_check_passes_over_grpc_and_rest(ports):
    targets = [f"--target=127.0.0.1:{ports['grpc']}", f"--rest=127.0.0.1:{ports['rest']}"]
    result = run("-m", "biva_tf.serve_check", *targets)
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    lines = [line for line in result.stdout.splitlines() if line.startswith("  ok  ")]
    assert len(lines) == 14
    refusals = "  ok  24 bad requests: each an error, and the server answers as before"
    assert lines[6] == lines[13] == refusals


def test_no_server_is_an_error():
    result = run("-m", "biva_tf.serve_check", "--rest=127.0.0.1:9")
    assert result.returncode == 1
    assert "serve_check: REST 127.0.0.1:9: no answer: " in result.stderr


def test_the_client_of_the_page_runs(ports, capsys):
    text = (ROOT / "biva_tf" / "serving" / "README.md").read_text()
    snippet = re.search(r"```python\n(import grpc\n.*?)```", text, re.DOTALL)[1]
    assert "localhost:8500" in snippet
    exec(snippet.replace("localhost:8500", f"127.0.0.1:{ports['grpc']}"), {})
    (llr,) = json.loads(capsys.readouterr().out)
    assert math.isfinite(llr)


def _with_output_changed(signature, name, change):
    def altered(client, inputs):
        outputs = client.call(signature, inputs)
        return {**outputs, name: change(outputs[name])}

    return altered


def _lenient(client, inputs):
    """Answers with the images themselves where the server refuses the request."""
    try:
        return client.call("reconstruct", inputs)
    except serving_checks.RefusedError:
        return {"images": inputs["images"]}


@pytest.mark.parametrize(
    ("signature", "change", "message"),
    [
        (
            "sample",
            _with_output_changed("sample", "images", lambda x: x + 1),
            r"images outside of \[0, 1\]",
        ),
        (
            "sample",
            _with_output_changed("sample", "images", lambda x: x / 2),
            "serving_default: it is not",
        ),
        (
            "score",
            _with_output_changed("score", "kl_nats", lambda x: x + 1),
            "L_1 is not its terms",
        ),
        (
            "score_png",
            _with_output_changed("score_png", "bound_nats", lambda x: 2 * x),
            "another score",
        ),
        ("reconstruct", _lenient, "no levels: expected an error of reconstruct"),
    ],
)
def test_a_server_with_wrong_answers_is_detected(ports, signature, change, message):
    client = serving_checks.GrpcClient(f"127.0.0.1:{ports['grpc']}", "biva", 60.0)
    with pytest.raises(serving_checks.FailedError, match=message):
        list(serving_checks.checks(Altered(client, signature, change)))
