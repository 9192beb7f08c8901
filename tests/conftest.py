"""Fixtures shared by all tests."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is first imported
os.environ.setdefault("MPLBACKEND", "agg")

import warnings  # noqa: E402
from dataclasses import dataclass  # noqa: E402

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)  # the same order of summation on every machine, however many processes run tests


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """Cache decoded images here instead of in the user's folder, also in processes that tests start."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["CLIPTUNE_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def default_backbone():
    """Runs in this process that name no backbone use the smallest one, whatever their images."""
    from cliptune.backbones.bundled import DEFAULTS

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DEFAULTS, "photographs", "tiny")
        yield


@pytest.fixture(scope="session")
def tiny_backbone():
    """The bundled backbone, shared by all tests and by runs that name it: tests must not modify it."""
    from cliptune.experiment import cached_backbone

    return cached_backbone("tiny", "")


@pytest.fixture
def forgotten_features(monkeypatch, tmp_path):
    """No test before this one has computed features, whichever backbones are in memory."""
    from cliptune.backbones.backbone import Backbone

    settings = Backbone._settings.fget
    monkeypatch.setattr(Backbone, "_settings", property(lambda self: f"{tmp_path} {settings(self)}"))
    monkeypatch.setenv("CLIPTUNE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Three classes of eight image files, `photos/<class>/<n>.png`, with masks in `masks/<class>/<n>.png`."""
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
    """The exit code and output of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys):
    """A function that runs a command in this process: `cli("train", "coop", "--epochs", 1)`."""
    from cliptune.cli import main

    def call(*arguments) -> CommandResult:
        code = 0
        with warnings.catch_warnings():  # print warnings, as outside of tests
            warnings.simplefilter("default", UserWarning)
            # Nearly every run warns of it; tests/commands/test_other_backbones.py tests the warning itself.
            warnings.filterwarnings("ignore", "the bundled tiny backbone knows drawings only")
            try:
                main([str(a) for a in arguments])
            except SystemExit as stop:
                code = stop.code or 0
        result = capsys.readouterr()
        return CommandResult(int(code), result.out, result.err)

    return call
