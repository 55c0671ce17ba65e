"""Whether the servers that a data set is downloaded from can be reached.

TFDS tries for minutes before it gives up.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from biva_tf.data.sources import DataError
from biva_tf.errors import Setting

_SECONDS = 8.0  # to wait for an answer


class NoNetworkError(DataError):
    """A server that does not answer; the message names it."""


def check(urls: Iterable[str], downloads: Path) -> None:
    """Raises NoNetworkError if the server of the first file that is not there yet does not answer.

    Args:
      urls: where the files of a data set are.
      downloads: TFDS's folder of files that were downloaded before.
    """
    there = set()
    for path in downloads.glob("*.INFO"):
        there |= set(json.loads(path.read_text()).get("urls", ()))
    missing = [url for url in urls if url not in there]
    if not missing:
        return
    request = urllib.request.Request(missing[0], method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=_SECONDS).close()
    except urllib.error.HTTPError:  # it answers; TFDS may know better how to ask
        return
    except OSError as e:
        server = urllib.parse.urlsplit(missing[0]).netloc
        reason = getattr(e, "reason", e)
        raise NoNetworkError(Setting("download"), f": no answer from {server} ({reason})") from e
