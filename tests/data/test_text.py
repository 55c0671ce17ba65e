"""Sentences: words, vocabulary, rows of ids; the shipped definitions; data sets of TFDS."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from biva_tf.data import pipeline, sources
from biva_tf.data.sources import DataError, Location, Split, glosses
from biva_tf.data.text import sentences, tokenizer
from biva_tf.data.text.sentences import Counts, Form
from biva_tf.data.text.vocabulary import Vocabulary
from biva_tf.model import architectures, tokens
from tools.release import make_glosses

LINE = "He said: \"it's (well-known) 3.5% off\", didn't he?"


def test_a_line_becomes_words():
    assert tokenizer.words(LINE) == [
        *("he", "said", ":", '"', "it's", "(", "well-known", ")", "3", ".", "5", "%", "off"),
        *('"', ",", "didn't", "he", "?"),
    ]
    assert tokenizer.words(" \t ") == []


@pytest.mark.parametrize("line", ["the act of (slowly) moving, or not", "a dog's tail", "what?"])
def test_words_become_the_line_again(line):
    assert tokenizer.join(tokenizer.words(line)) == line


def test_a_vocabulary_has_the_most_frequent_words():
    lines = [["b", "a", "c"], ["b", "c", "d"], ["b"]]
    assert Vocabulary.from_sentences(lines, tokens.FIRST_WORD + 3).words == ("b", "c", "a")
    assert Vocabulary.from_sentences(lines, 100).words == ("b", "c", "a", "d")


def test_a_vocabulary_is_read_as_it_was_written(tmp_path):
    vocabulary = Vocabulary(("the", "naïve", "("))
    vocabulary.write(tmp_path / "vocabulary.txt")
    assert Vocabulary.read(tmp_path / "vocabulary.txt") == vocabulary
    (tmp_path / "twice.txt").write_text("a\na\n")
    for wrong in ("twice.txt", "nowhere.txt"):
        with pytest.raises(DataError, match=wrong):
            Vocabulary.read(tmp_path / wrong)


def _split(*lines):
    return Split(np.array(lines, object), np.arange(len(lines)))


def test_lines_become_rows_of_ids_and_are_counted():
    train = _split("a a b", "", "a c b d e", "b a c d")
    found, vocabulary = sentences.read({"train": train, "test": _split("z b")}, Form(4, 6))
    assert vocabulary.words == ("a", "b", "c")
    rows = found["train"]
    # An end, if there is a place for it; a cut line has none.
    np.testing.assert_array_equal(rows.ids, [[3, 3, 4, 1], [3, 5, 4, 2], [4, 3, 5, 2]])
    np.testing.assert_array_equal(rows.labels, [0, 2, 3])
    counts = rows.counts
    assert counts == Counts(lines=4, empty=1, cut=2, words=11, unknown=2)
    assert "4 lines, 1 empty (dropped), 2 too long (cut), 11 words, 2 unknown" in str(counts)
    np.testing.assert_array_equal(found["test"].ids, [[2, 4, 1, 0]])
    assert found["test"].tokens == 3 and rows.tokens == 12
    assert tokens.valid(rows.ids)


def test_sentences_are_read_as_float32_images():
    found, vocabulary = sentences.read({"train": _split("a b", "b")}, Form(3, 9))
    rows = found["train"]
    assert rows.image_shape == (3, 1, 1) and rows.values == (0.0, 8.0)
    batch = rows.batch(np.array([1, 0]), epoch=4)
    assert batch.images.dtype == np.float32 and batch.images.shape == (2, 3, 1, 1)
    np.testing.assert_array_equal(batch.labels, [1, 0])
    np.testing.assert_array_equal(rows.first(1)[:], rows[:1])
    np.testing.assert_array_equal(vocabulary.texts(rows[:]), ["a b", "b"])
    drawn = np.array([[2, 8, 1]], np.float32).reshape(1, 1, 3, 1, 1)
    np.testing.assert_array_equal(vocabulary.texts(drawn), [["<unknown> <unknown>"]])


def _config(dataset, data_dir="nowhere", validation_size=2):
    return pipeline.DataConfig(dataset, Location(Path(data_dir)), "none", 127, validation_size)


def test_the_shipped_definitions():
    spec = architectures.get("text_small")
    data = pipeline.load(_config("glosses"), 0, form=Form.for_spec(spec))
    assert (data.train.number, len(data.validation), len(data.test)) == (18_000, 1_000, 1_000)
    for split in (data.train.images, data.validation, data.test):
        pipeline.check_fits(spec, split, "glosses")
        assert split.counts.empty == split.counts.cut == 0
        assert split.counts.unknown < 1e-3 * split.counts.words
    lines = {tuple(row) for row in data.train.images.ids}
    assert not lines & {tuple(row) for row in data.test.ids}
    assert len(data.vocabulary.words) <= 4_000
    form = Form.for_spec(spec, data.vocabulary)
    again = pipeline.evaluation_images(_config("glosses"), "validation", form)
    np.testing.assert_array_equal(again[:], data.validation[:])


def test_the_licence_of_the_definitions_is_beside_them():
    licence = glosses.FILE.with_name("glosses.LICENSE").read_text()
    for text in ("Permission to use, copy, modify and distribute", "Copyright 2006 by Princeton"):
        assert text in licence


@pytest.mark.skipif(not Path("/usr/share/wordnet").exists(), reason="needs WordNet")
def test_the_tool_makes_the_shipped_definitions(tmp_path):
    settings = make_glosses.GlossesSettings(output=str(tmp_path / "glosses.txt.gz"))
    made = make_glosses.run(settings)
    assert gzip.decompress(made.read_bytes()) == gzip.decompress(glosses.FILE.read_bytes())
    licence = make_glosses.licence_path(glosses.FILE)
    assert make_glosses.licence_path(made).read_text() == licence.read_text()


# What TFDS stores, and what it stands for. Yelp's texts are rows of its CSV file as they are; those
# of AG's corpus have lost their new lines and the ampersands of some entities.
YELP = {
    r'Dr. Goldberg is \""the\"" doctor.\n\nThe staff say ""no"".': (
        'Dr. Goldberg is "the" doctor.\n\nThe staff say "no".'
    ),
    r"Nothing to undo here, “Déjà vu”!": "Nothing to undo here, “Déjà vu”!",
}
NEWS = {
    r"Reuters - Wall Street #39;s dwindling\band pays \$5.": (
        "Reuters - Wall Street's dwindling\nband pays $5."
    ),
    "The  quot;band quot; &lt;b&gt;plays&lt;/b&gt; at AT amp;T.": (
        'The "band" <b>plays</b> at AT&T.'
    ),
}
TFDS = {
    "ag_news_subset": (
        ("ag_news_subset", "1.0.0", "description", ["World", "Sports", "Business", "Sci/Tech"]),
        NEWS,
    ),
    "yelp_polarity": (("yelp_polarity_reviews", "0.2.0", "text", ["1", "2"]), YELP),
}
TEST = ["", "Dr. Reuters, the band!"]
KNOWN = {
    "ag_news_subset": "<unknown>. reuters <unknown> the band <unknown>",
    "yelp_polarity": "dr. <unknown>, the <unknown>!",
}


def _store(name, data_dir, text=None):
    (dataset, version, column, classes), lines = TFDS[name]
    column = text or column
    features = {
        column: tfds.features.Text(),
        "label": tfds.features.ClassLabel(names=classes),
    }
    if name == "ag_news_subset":
        features["title"] = tfds.features.Text()
    data = {}
    for split, texts in {"train": [*lines] * 3, "test": TEST}.items():
        columns = dict.fromkeys(features, texts)
        columns["label"] = np.arange(len(texts)) % len(classes)
        data[split] = tf.data.Dataset.from_tensor_slices(columns)
    tfds.dataset_builders.store_as_tfds_dataset(
        name=dataset,
        version=version,
        features=tfds.features.FeaturesDict(features),
        split_datasets=data,
        data_dir=str(data_dir),
        disable_shuffling=True,
    )


@pytest.mark.parametrize("name", TFDS)
def test_texts_of_tfds_load_without_their_escapes(name, tmp_path):
    _store(name, tmp_path)
    (*_, classes), lines = TFDS[name]
    source = sources.load(name, Location(tmp_path))
    assert list(source.train.images) == [*lines.values()] * 3
    assert list(source.test.images) == TEST
    np.testing.assert_array_equal(source.train.labels, np.arange(6) % len(classes))
    data = pipeline.load(_config(name, tmp_path), 0, form=Form(12, 50))
    assert (data.train.number, len(data.validation), len(data.test)) == (4, 2, 1)
    assert data.test.counts.empty == 1
    (text,) = data.vocabulary.texts(data.test[:])
    assert text == KNOWN[name]
    assert "\\" not in "".join(data.vocabulary.words)


def test_a_data_set_of_tfds_with_other_features_is_refused(tmp_path):
    _store("yelp_polarity", tmp_path, text="words")
    with pytest.raises(DataError, match="expected a feature 'text', it has"):
        sources.load("yelp_polarity", Location(tmp_path))


def test_a_model_of_images_does_not_read_sentences():
    with pytest.raises(DataError, match="glosses has sentences, but the architecture is not of"):
        pipeline.load(_config("glosses"), 0, form=Form.for_spec(architectures.get("tiny_dense")))


def test_a_model_of_sentences_does_not_read_images():
    spec = architectures.get("text_small")
    images = pipeline.evaluation_images(_config("mnist_10k"), "test", Form.for_spec(spec))
    with pytest.raises(DataError, match=r"has images of shape \(28, 28, 1\)"):
        pipeline.check_fits(spec, images, "mnist_10k")
