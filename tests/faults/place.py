"""Where a fault is tried: a folder with copies of what the trials share."""

import functools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import run

_SECONDS = 3000  # in which even a busy machine makes what is shared
SCORE_SETTINGS = ("--iw_samples=2", "--part_size=8", "--workers=1")


class Shared:
    """What trials copy: made once, each when it is first asked for.

    Args:
      model_dir: a finished run.
      spec: the spec of its model, a JSON file.
      folder: where the rest is made.
    """

    def __init__(self, model_dir: Path, spec: Path, folder: Path):
        self.model_dir, self.spec, self._folder = model_dir, spec, folder

    @functools.cached_property
    def export_dir(self) -> Path:
        """The run's export."""
        return self._made("models", "export", "--export_dir={}")

    @functools.cached_property
    def compressed(self) -> Path:
        """Ten images, compressed by the run's model."""
        np.save(self._folder / "ten.npy", pixels(10))
        inputs = f"--input={self._folder / 'ten.npy'}"
        return self._made("ten.biva", "compress", "--output={}", inputs, "--block=4")

    @property
    def images(self) -> Path:
        """An .npz file whose images are scored; a trial writes it before it asks for `scores`."""
        return self._folder / "images.npz"

    @functools.cached_property
    def scores(self) -> Path:
        """The scores of these images, in three parts."""
        path = self._folder / "scores"
        flags = (f"--export_dir={self.export_dir}", f"--input={self.images}", f"--output={path}")
        result = run("-m", "biva_tf.score_dataset", *flags, *SCORE_SETTINGS, timeout=_SECONDS)
        assert result.returncode == 0, result.stderr[-3000:]
        return path

    def _made(self, name: str, command: str, flag: str, *flags: str) -> Path:
        path = self._folder / name
        args = (f"--model_dir={self.model_dir}", flag.format(path), *flags)
        result = run("-m", f"biva_tf.{command}", *args, timeout=_SECONDS)
        assert result.returncode == 0, result.stderr[-3000:]
        return path


def pixels(number: int, seed: int = 0) -> np.ndarray:
    """Binary images as bytes of 0 and 255, [number, 28, 28]."""
    rng = np.random.default_rng(seed)
    return (rng.random((number, 28, 28)) < 0.2).astype(np.uint8) * 255


class Place:
    """A folder in which one fault is tried.

    Attributes:
      folder: the folder.
      shared: what trials copy.
      out, err: what the command last said.
      mounted: folders at which disks are mounted.
      limits: of the next command, by their names in the module `resource`.
    """

    def __init__(self, folder: Path, shared: Shared):
        self.folder, self.shared = folder, shared
        self.out = self.err = ""
        self.mounted: list[Path] = []
        self.limits: dict[str, int] = {}

    @functools.cached_property
    def run(self) -> Path:
        """A copy of the finished run."""
        return Path(shutil.copytree(self.shared.model_dir, self.folder / "run"))

    @functools.cached_property
    def exported(self) -> Path:
        """A copy of its export."""
        return Path(shutil.copytree(self.shared.export_dir, self.folder / "models"))

    @functools.cached_property
    def compressed(self) -> Path:
        """A copy of the compressed images."""
        return Path(shutil.copy(self.shared.compressed, self.folder / "ten.biva"))

    def run_command(self, name: str, *flags: str, seconds: int = 60):
        """Runs a command of the project, and gives what `subprocess.run` does.

        Args:
          name: the command's name.
          *flags: its flags.
          seconds: of a processor, which other programs do not take; ten times as many in all.
        """
        limits = self.limits | {"RLIMIT_CPU": seconds}
        return run("-m", f"biva_tf.{name}", *flags, timeout=10 * seconds, limits=limits)

    def skip(self, why: str) -> None:
        """Skips the trial."""
        pytest.skip(why)

    def leave(self) -> None:
        """Takes away what a trial has mounted."""
        for folder in self.mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)
