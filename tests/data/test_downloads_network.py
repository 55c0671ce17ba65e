"""A download without a network: found out at once, and answered with the files to bring."""

import http.server
import json
import threading

import pytest

from biva_tf import prepare_data
from biva_tf.data import network
from biva_tf.data.network import NoNetworkError
from biva_tf.errors import Setting
from biva_tf.locks import LockedError, only_one

NOWHERE = "http://127.0.0.1:1/images.gz"  # a port that nobody listens at


def test_a_server_that_does_not_answer_is_named(tmp_path):
    with pytest.raises(NoNetworkError, match=r"download: no answer from 127\.0\.0\.1:1 \("):
        network.check([NOWHERE], tmp_path)


def test_files_that_were_downloaded_before_need_no_server(tmp_path):
    (tmp_path / "images.gz.INFO").write_text(json.dumps({"urls": [NOWHERE]}))
    network.check([NOWHERE], tmp_path)
    with pytest.raises(NoNetworkError):
        network.check([NOWHERE, NOWHERE + "2"], tmp_path)


def test_a_server_that_answers_at_all_is_there(tmp_path):
    """One that does not take the request may still send the file."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.handle_request).start()
    network.check([f"http://127.0.0.1:{server.server_port}/images.gz"], tmp_path)
    server.server_close()


@pytest.mark.parametrize(
    ("dataset", "answer"),
    [
        ("cifar10", r"Bring these files .* --source=FOLDER\n *cifar-10-binary.tar.gz\n *from http"),
        ("ag_news_subset", "Run the command on another machine, and bring what it writes to "),
    ],
)
def test_the_answer_says_what_to_bring(dataset, answer, tmp_path, monkeypatch):
    def check(urls, downloads):
        assert urls and downloads == tmp_path / "downloads"
        raise NoNetworkError("no answer")

    monkeypatch.setattr(network, "check", check)
    settings = prepare_data.PrepareSettings(dataset, data_dir=str(tmp_path), download=True)
    with pytest.raises(NoNetworkError, match=f"no answer. {answer}"):
        prepare_data.run(settings)


def test_one_process_at_a_time_downloads_a_data_set(tmp_path, monkeypatch):
    """TFDS itself would let each of two read all files, and one of them fail at the end."""
    monkeypatch.setattr(network, "check", lambda urls, downloads: None)
    settings = prepare_data.PrepareSettings("cifar10", data_dir=str(tmp_path), download=True)
    place = Setting("data_dir", tmp_path)
    with (
        only_one(tmp_path / "cifar10", place, "preparation of cifar10"),
        pytest.raises(LockedError, match="preparation of cifar10 is under way there, by process"),
    ):
        prepare_data.run(settings)
    assert not list(tmp_path.iterdir())
