"""What the tests of commands share."""

import pytest

from toys import BRIEFLY


@pytest.fixture
def refused(cli, tmp_path):
    """A function that runs a command which must fail, and returns its sentence; "OUT" is a folder to write to."""

    def call(*arguments) -> str:
        out = tmp_path / "never"
        said = cli(*[str(a).replace("OUT", str(out)) for a in arguments])
        assert said.code == 2, said
        assert said.out == "" and "Traceback" not in said.err
        lines = [line for line in said.err.splitlines() if not line.startswith("note: ")]
        assert len(lines) == 1 and lines[0].startswith("cliptune: "), said.err
        assert not out.exists(), "something was left behind"
        return lines[0]

    return call


@pytest.fixture
def train(refused, photos):
    def call(method="coop", *more, data=f"folder:{photos}") -> str:
        return refused("train", method, "--data", data, *BRIEFLY, "--out", "OUT", *more)

    return call


@pytest.fixture(scope="module")
def trained(tmp_path_factory, photos):
    """The folder of a small run of CoOp on `photos`."""
    from cliptune import train

    folder = tmp_path_factory.mktemp("trained")
    train("coop", data=f"folder:{photos}", shots=2, epochs=1, out=folder)
    return folder
