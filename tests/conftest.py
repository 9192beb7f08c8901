"""What every test shares."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is first imported
os.environ.setdefault("MPLBACKEND", "agg")

import warnings  # noqa: E402
from dataclasses import dataclass  # noqa: E402

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(2)  # the same order of summation on every machine


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """Decoded images are kept here, in processes that tests start as well, instead of in the user's folder."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["CLIPTUNE_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_backbone():
    """The backbone in the package. Shared, with runs that name it too: tests must not change it."""
    from cliptune.experiment import cached_backbone

    return cached_backbone("tiny", "")


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Three classes of eight image files, `photos/<class>/<n>.png`, with masks in `masks/<class>/<n>.png` beside."""
    from tiny_tasks import write_images

    root = tmp_path_factory.mktemp("data")
    return write_images(root / "photos", masks=root / "masks")


@pytest.fixture(scope="session")
def cutouts(tmp_path_factory):
    """The same images with transparency around the object."""
    from tiny_tasks import write_images

    return write_images(tmp_path_factory.mktemp("data") / "cutouts", alpha=True)


@dataclass(frozen=True)
class CommandResult:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys):
    """A function that runs a command in this process: `cli("train", "coop", "--epochs", 1)`."""
    from cliptune.cli import main

    def call(*arguments) -> CommandResult:
        code = 0
        with warnings.catch_warnings():  # as outside of tests: warnings are printed
            warnings.simplefilter("default", UserWarning)
            # Of nearly every test; one of its own sees it (tests/commands/test_other_backbones.py).
            warnings.filterwarnings("ignore", "the bundled tiny backbone knows drawings only")
            try:
                main([str(a) for a in arguments])
            except SystemExit as stop:
                code = stop.code or 0
        result = capsys.readouterr()
        return CommandResult(int(code), result.out, result.err)

    return call
