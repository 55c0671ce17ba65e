import numpy as np

from biva_tf.model import architectures
from biva_tf.plotting import densities
from biva_tf.plotting.drawers import drawer

POINTS, DIGITS = (architectures.get(name) for name in ("density_2d", "mnist_sample"))


def test_points_are_drawn_as_a_scatter_plot_and_images_as_a_grid():
    rng = np.random.default_rng(0)

    def picture(samples, spec):
        return drawer(spec).show(samples).picture

    points = picture(rng.normal(size=(500, 1, 1, 2)), POINTS)
    assert points.dtype == np.uint8 and points.shape[2] == 3 and len(np.unique(points)) > 10
    wide = picture(rng.normal(size=(500, 3, 1, 1, 2)), POINTS)  # a panel per column
    assert wide.shape[1] > 2 * points.shape[1]
    images = rng.random((6, 3, 28, 28, 1))
    assert picture(images, DIGITS).shape == (6 * 58 + 2, 3 * 58 + 2, 1)
    assert picture(images[:4, 0], DIGITS).shape == (2 * 58 + 2, 2 * 58 + 2, 1)


def test_the_comparison_has_a_row_per_density_and_two_panels_per_model():
    box = ((-2.0, 2.0), (-1.0, 1.0))
    maps = {model: np.ones((4, 4)) for model in ("VAE", "LVAE", "BIVA")}
    samples = {model: np.zeros((5, 2)) for model in maps}
    drawn = densities.Drawn(box, np.eye(4), maps, samples)
    figure = densities.comparison({"one": drawn, "two": drawn})
    assert len(figure.axes) == 2 * 7
    assert [panel.get_ylabel() for panel in figure.axes[::7]] == ["one", "two"]
    titles = [panel.get_title() for panel in figure.axes]
    assert titles[0] == "p(x)" and titles[6] == "BIVA: samples" and not any(titles[7:])
    assert figure.axes[0].get_xlim() == box[0]
    (image,) = figure.axes[5].images  # of BIVA, in the colours of the true density
    assert image.get_clim() == (0, 1.1)
