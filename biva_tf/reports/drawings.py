"""What the trained model draws: samples, reconstructions, a traversal, classes."""

from biva_tf import drawing
from biva_tf.api import BIVA
from biva_tf.drawing import Arrays
from biva_tf.errors import UserError
from biva_tf.plotting import grid
from biva_tf.plotting.document import Lines, Paragraph, Picture, Section, SectionPart
from biva_tf.plotting.drawers import drawer
from biva_tf.runs.run_dir import RunDir


def samples(model: BIVA, number: int | None, seed: int) -> Section:
    """Samples of the prior, by default as many as a picture shows."""
    arrays = drawing.prior(model, number, seed=seed)
    what = f"{len(arrays['images'])} samples of the prior"
    if model.spec.likelihood.binary:
        what += " (the probability of every pixel)"
    return Section("Samples", _shown(model, arrays, what))


def reconstructions(model: BIVA, run_dir: RunDir, seed: int) -> Section:
    """The first test images, and their reconstructions without the lowest levels."""
    words, title = drawer(model.spec), "Reconstructions"
    try:
        originals = drawing.test_images(model, run_dir)[: words.originals]
    except (UserError, OSError) as e:
        return Section(title, (Paragraph(f"There are none: {e}"),))
    lowest = ", ".join(map(str, range(model.spec.num_levels)))
    order = f"{words.direction}: {words.example}"
    what = f"{order}, then reconstructed without the lowest {lowest} levels"
    arrays = drawing.reconstructions(model, originals, seed=seed)
    return Section(title, _shown(model, arrays, what))


def traversal(model: BIVA, seed: int) -> Section:
    """Images along units of the top latent."""
    arrays = drawing.traversal(model, seed=seed)
    low, high = arrays["standard_deviations"][[0, -1]]
    shows = drawer(model.spec)
    what = (
        f"Per {shows.part} a unit of {model.spec.latents[-1].name}, from {low:.0f} to "
        f"{high:.0f} standard deviations of its prior; {len(arrays['units'])} of its units"
    )
    arrays = {"images": shows.by_unit(arrays["images"])}
    return Section("Traversal of the top latent", _shown(model, arrays, what))


def classes(model: BIVA, seed: int) -> tuple[SectionPart, ...]:
    """Samples of every class, of a model with classes."""
    arrays = drawing.classes(model, seed=seed)
    return _shown(model, arrays, "Per row a class, per column the same draws in all classes")


def _shown(model: BIVA, arrays: Arrays, what: str) -> tuple[SectionPart, ...]:
    shown = drawing.show(model, arrays)
    if shown.picture is not None:
        return (Picture(grid.png(shown.picture), what, what),)
    return (Paragraph(what), Lines(shown.text or ""))
