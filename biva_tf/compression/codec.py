"""Images to a compressed file and back: one chain through all batches, in blocks.

The last batch is encoded first, so that decoding gives the first images first. The chain begins
with random bits, the initial ones; every batch takes the bits for its latents from what those
before have left. The first batches have as few images as the stack can serve, from one on. So the
initial bits are those of one image, whatever the size of a batch. Decoding gives them back, and
that they are the same ones is its last check.

All batches have one shape: those of fewer images are filled up. A batch whose code would be longer
than its pixels, because the model finds its images very unlikely, is taken from the stack again and
its pixels are stored.
"""

import dataclasses
import functools
import math
import zlib

import numpy as np

from biva_tf.compression import environment, pixel_values, stored
from biva_tf.compression.bits_back import BitsBack
from biva_tf.compression.container import Block, CodedBatch, Reader, runs
from biva_tf.compression.errors import BlockError, CompressionError, MismatchError
from biva_tf.compression.grid import Grid, standard_deviation
from biva_tf.compression.header import FORMATS, MOST_ROWS, FormatError, Header, PixelForm
from biva_tf.compression.options import Options
from biva_tf.compression.passes import Passes, check_model
from biva_tf.compression.stack import WORD_BITS, RandomWords, Stack, ans_package
from biva_tf.model.network import Network

_MARGIN = 1.1  # of the bits that a batch may take, over those that batches took per image so far


@dataclasses.dataclass(frozen=True)
class Compressed:
    """Compressed images.

    Attributes:
      data: the file.
      images: their number.
      initial_bits: those that the chain began with; a part of the file.
      stack_bits: the length of the chain, the initial bits among them. What the file has beyond it
        are its headers.
      batches: the number of batches.
      stored_batches: how many of them are stored as pixels.
    """

    data: bytes
    images: int
    initial_bits: int
    stack_bits: int
    batches: int
    stored_batches: int


class Codec:
    """Compresses images with a model, and decompresses them.

    Args:
      model: the model, with the weights that it has when a method is called.

    Raises:
      CompressionError: the model is not one of images, or has classes.
      MissingPackageError: `constriction` is not installed.
    """

    def __init__(self, model: Network):
        ans_package()
        check_model(model.spec)
        self._model, self._spec = model, model.spec
        # For the next file with batches of the same shape, nothing is traced again.
        self._passes_of = functools.lru_cache(1)(functools.partial(Passes, model))

    def compress(self, images: np.ndarray, options: Options | None = None) -> Compressed:
        """Compresses images.

        Args:
          images: as in `pixel_values.from_images`.
          options: how; by default as `Options`.

        Raises:
          CompressionError: images of a wrong shape, or values outside the model's range.
        """
        options = options or Options()
        pixels, form = pixel_values.from_images(images, self._spec)
        rows = min(options.rows, max(len(pixels), MOST_ROWS))
        passes = self._passes(rows)
        header = Header(
            model=environment.model_hash(self._model),
            images=len(pixels),
            image_shape=self._spec.image_shape,
            form=form,
            rows=rows,
            block=options.block,
            seed=options.seed,
            threads=environment.threads(),
            exponents=self._exponents(passes, pixels[:rows], options.width),
            versions=environment.versions(),
        )
        stack = Stack(np.empty(0, np.uint32), RandomWords(options.seed))
        blocks = _Encoder(self._coder(passes, header), header, stack).encode(pixels)
        batches = [batch for block in blocks for batch in block.batches]
        stored_batches = sum(batch.stored for batch in batches)
        header = dataclasses.replace(header, format=FORMATS[stored_batches > 0])
        return Compressed(
            data=header.pack() + b"".join(block.pack(header.format) for block in blocks),
            images=len(pixels),
            initial_bits=WORD_BITS * stack.random_words_used,
            stack_bits=WORD_BITS * len(stack),
            batches=len(batches),
            stored_batches=stored_batches,
        )

    def decompress(self, data: bytes) -> np.ndarray:
        """The images of a compressed file, of the dtype and the values that they had.

        Raises:
          FormatError: it is not a compressed file, or its header is wrong.
          CompressionError: it is one of another model.
          BlockError: a block is damaged, or floating point differs from where the file was made.
            The error has the images of the blocks before.
        """
        reader = Reader(data)
        header = reader.header
        own = environment.model_hash(self._model)
        if header.model != own and self._is_without_ceiling(header):
            return Codec(self._model.with_ceiling(None)).decompress(data)
        header.check_model(
            own,
            self._spec.image_shape,
            len(self._spec.latents),
            binary=self._spec.likelihood.binary,
        )
        pixels = self._decoded(reader, self._passes(header.rows))
        return pixel_values.to_images(pixels, self._spec, header.form)

    def _is_without_ceiling(self, header: Header) -> bool:
        """Whether a file was made before this model had a ceiling of its log-variances."""
        if self._spec.log_variance_ceiling is None:
            return False
        before = self._spec.with_ceiling(None)
        return header.model == environment.model_hash(self._model, before)

    def verify(self, data: bytes, images: np.ndarray) -> None:
        """Raises CompressionError unless a compressed file gives these images."""
        try:
            same = np.array_equal(self.decompress(data), images)
        except CompressionError as e:
            raise CompressionError(f"verification: the images do not come back: {e}") from e
        if not same:
            raise CompressionError("verification: other images come back")

    def _passes(self, rows: int) -> Passes:
        passes = self._passes_of(rows)
        passes.read_weights()
        return passes

    def _exponents(self, passes: Passes, pixels: np.ndarray, width: float) -> tuple[int, ...]:
        """The grid of each latent, from its posteriors of some images."""
        rng, exponents = np.random.default_rng(0), {}

        def draw(name, mean, log_variance):
            exponents[name] = Grid.from_log_variance(log_variance[: len(pixels)], width).exponent
            deviation = standard_deviation(log_variance).astype(np.float32)
            return mean + deviation * rng.standard_normal(mean.shape, np.float32)

        passes.infer(
            passes.batch(pixel_values.to_images(pixels, self._spec, PixelForm.UNIT)),
            draw,
        )
        return tuple(exponents[latent.name] for latent in self._spec.latents)

    def _coder(self, passes: Passes, header: Header) -> BitsBack:
        names = [latent.name for latent in self._spec.latents]
        grids = dict(zip(names, map(Grid, header.exponents), strict=True))
        return BitsBack(passes, grids, pixel_values.number_of_values(self._spec))

    def _decoded(self, reader: Reader, passes: Passes) -> np.ndarray:
        """The pixels of all images."""
        header = reader.header
        coder = self._coder(passes, header)
        decoded, words = [np.empty((0, *header.image_shape), np.uint8)], np.empty(0, np.uint32)
        for number in range(header.blocks):
            try:
                pixels, words = _decode(coder, reader, number, words)
                if number == header.blocks - 1:
                    _check_end(reader, words)
                decoded.append(pixels)
            except FormatError as e:
                form = header.form
                good = pixel_values.to_images(np.concatenate(decoded), self._spec, form)
                raise BlockError(str(e), number, good) from None
        return np.concatenate(decoded)


class _Encoder:
    """Encodes all images on a stack.

    Args:
      coder: codes a batch.
      header: the file's header.
      stack: an empty stack over random words.
    """

    def __init__(self, coder: BitsBack, header: Header, stack: Stack):
        self._coder, self._header, self._stack = coder, header, stack
        self._per_image = 0.0  # words that the latents of an image take, at most

    def encode(self, pixels: np.ndarray) -> list[Block]:
        """Encodes all images, last to first. Gives the blocks, first to last."""
        encoded = []
        for number in reversed(range(self._header.blocks)):
            start = number * self._header.block
            images = pixels[start : start + self._header.block_size(number)]
            batches, left = list[CodedBatch](), len(images)
            while left:
                rows = min(self._affordable(), self._header.rows, left)
                batches.append(self._batch(images[left - rows : left], start + left - rows))
                left -= rows
            encoded.append(
                (runs(reversed(batches)), zlib.crc32(images.data), self._stack.deepest())
            )
        blocks, above = [], None
        for of_block, crc, deepest in reversed(encoded):
            bottom = deepest if above is None else min(deepest, above)
            blocks.append(Block(of_block, crc, self._stack.words(bottom, above)))
            above = bottom
        return blocks

    def _affordable(self) -> int:
        """The number of images, at least 1, whose latents the stack can serve."""
        if not self._per_image:
            return 1
        return max(int(len(self._stack) / (_MARGIN * self._per_image)), 1)

    def _batch(self, images: np.ndarray, first: int) -> CodedBatch:
        """Encodes a batch, the number of whose first image is given."""
        stack, rows = self._stack, len(images)
        length, depths = len(stack), stack.depths()
        taken = self._coder.encode(stack, images)
        self._per_image = max(self._per_image, taken / rows)
        values = self._coder.values
        if WORD_BITS * (len(stack) - length) <= _pixel_bits(images, values):
            return CodedBatch(rows)
        self._coder.decode(stack, rows)
        stack.undone(depths)
        stored.push(stack, images, values, _key(self._header, first))
        return CodedBatch(rows, stored=True)


def _pixel_bits(pixels: np.ndarray, values: int) -> float:
    """The bits that pixels take as they are."""
    return pixels.size * math.log2(values)


def _key(header: Header, first: int) -> tuple[int, int]:
    """What the pixels of a batch are scrambled by, given the number of its first image."""
    return header.seed, first


def _decode(
    coder: BitsBack, reader: Reader, number: int, words: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The images of the next block, and the words that it leaves for the one after it.

    `words` are those that the block before has left.
    """
    header, block = reader.header, reader.block(number)
    first, decoded = number * header.block, []
    try:
        stack = Stack(np.concatenate([block.words, words]))
        for batch in block.batches:
            if batch.stored:
                shape, key = (batch.rows, *header.image_shape), _key(header, first)
                decoded.append(stored.pop(stack, shape, coder.values, key))
            else:
                decoded.append(coder.decode(stack, batch.rows))
            stack.check()
            first += batch.rows
    except MismatchError as e:
        raise _differs(header, number, str(e)) from None
    pixels = np.concatenate(decoded)
    if (crc := zlib.crc32(pixels.data)) != block.images_crc:
        what = f"the checksum of its images should be {block.images_crc:08x}, got {crc:08x}"
        raise _differs(header, number, what)
    return pixels, stack.words(0)


def _check_end(reader: Reader, words: np.ndarray) -> None:
    """Checks that decoding has given the initial bits back, and that the file ends."""
    reader.end()
    header = reader.header
    if not np.array_equal(words, RandomWords(header.seed).last_to_first(0, len(words))):
        raise _differs(header, header.blocks - 1, "the initial bits do not come back")


def _differs(header: Header, number: int, what: str) -> FormatError:
    """The words of a block are whole, and decode to something else than was encoded."""
    return FormatError(
        f"block {number} of {header.blocks}: floating point differs here from where the file was "
        f"made: {what}; made with {_description(header.versions, header.threads)}, here "
        f"{_description(environment.versions(), environment.threads())}"
    )


def _description(versions: str, threads: int) -> str:
    return f"{versions}, TF_NUM_INTRAOP_THREADS={threads}"
