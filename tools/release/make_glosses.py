"""Makes the file of the data set `glosses` from WordNet:

    python -m tools.release.make_glosses --wordnet=/usr/share/wordnet --output=glosses.txt.gz

Debian's package wordnet-base has WordNet's files data.noun, data.verb, data.adj and data.adv. The
definition of a meaning is what precedes the first ";" of its gloss. Taken are 20,000 different
definitions at random: of 3 to 20 words in lower-case letters, commas, hyphens, apostrophes and
parentheses, all words among the 4,000 most frequent ones of such definitions. The licence, which
WordNet's files begin with, is written beside the file.
"""

import collections
import dataclasses
import gzip
import itertools
import re
from pathlib import Path

import numpy as np

from biva_tf.commands.start import start
from biva_tf.data.text import tokenizer
from biva_tf.errors import UserError
from biva_tf.files import write_atomically
from biva_tf.settings import Settings, required, setting

NUMBER = 20_000
_COMMON = 4_000  # words
_SHORTEST, _LONGEST = 3, 20  # words in a definition
_SEED = 2019
_PLAIN = re.compile(r"[a-z,()'\- ]+")


@dataclasses.dataclass(frozen=True)
class GlossesSettings(Settings):
    """The settings of `python -m tools.release.make_glosses`."""

    output: str = required("The .txt.gz file to write.")
    wordnet: str = setting("/usr/share/wordnet", "The folder of WordNet's files.")


def _read(folder: Path) -> list[str]:
    """The lines of WordNet's data files."""
    lines = []
    for kind in ("noun", "verb", "adj", "adv"):
        path = folder / f"data.{kind}"
        try:
            lines += path.read_text(encoding="latin-1").splitlines()
        except OSError as e:
            raise UserError(f"--wordnet: expected WordNet's file {path} ({e.strerror})") from e
    return lines


def _definitions(lines: list[str]) -> list[str]:
    """The definitions that are taken, in random order."""
    words_of = {}
    for line in lines:
        definition = line.partition(" | ")[2].partition(";")[0].strip()
        words = tokenizer.words(definition)
        if _PLAIN.fullmatch(definition) and _SHORTEST <= len(words) <= _LONGEST:
            words_of.setdefault(definition, words)
    count = collections.Counter(word for words in words_of.values() for word in words)
    common = {word for word, _ in sorted(count.items(), key=lambda c: (-c[1], c[0]))[:_COMMON]}
    plain = [text for text, words in words_of.items() if common.issuperset(words)]
    if len(plain) < NUMBER:
        raise UserError(f"--wordnet: expected {NUMBER} plain definitions, got {len(plain)}")
    order = np.random.default_rng(_SEED).permutation(len(plain))
    return [plain[i] for i in order[:NUMBER]]


def _licence(lines: list[str]) -> str:
    """The licence: the lines that begin with two spaces and their number."""
    head = itertools.takewhile(lambda line: line.startswith("  "), lines)
    text = [line.strip().partition(" ")[2] for line in head]
    return "\n".join(text).strip() + "\n"


def run(settings: GlossesSettings) -> Path:
    """Writes the definitions, a line each, and the licence; returns the path of the former.

    Raises:
      UserError: a file of WordNet is missing.
    """
    lines = _read(Path(settings.wordnet))
    output = Path(settings.output)
    text = "".join(f"{definition}\n" for definition in _definitions(lines))
    write_atomically(output, gzip.compress(text.encode(), mtime=0))
    write_atomically(licence_path(output), _licence(lines).encode())
    return output


def licence_path(output: Path) -> Path:
    """The file of the licence: glosses.LICENSE beside glosses.txt.gz."""
    return output.with_name(output.name.partition(".")[0] + ".LICENSE")


def _print(settings: GlossesSettings) -> None:
    print(run(settings))


if __name__ == "__main__":
    start("make_glosses", GlossesSettings, _print)
