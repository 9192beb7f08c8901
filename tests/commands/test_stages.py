"""Commands with a method that searches prompt lengths and then trains."""

from cliptune.engine import checkpoint
from tiny_tasks import BRIEFLY, same

SMALL = ("--longest-text", 1, "--longest-image", 1, "--search-epochs", 1, "--sentence", "template")


def test_lengths_are_printed_and_can_be_given(cli, tmp_path, photos):
    place = ("--data", f"folder:{photos}", *BRIEFLY)
    result = cli("train", "dpl", *place, *SMALL, "--out", tmp_path / "a")
    printed = [line.split() for line in result.err.splitlines()]
    at = printed.index("layer 1 2 3 4 5 6".split())
    (text, *own_text), (image, *own_image) = printed[at + 1 : at + 3]
    assert result.code == 0 and (text, len(own_text), image, len(own_image)) == ("text", 4, "image", 6)
    evaluated = cli("evaluate", tmp_path / "a")
    assert evaluated.code == 0 and evaluated.out == result.out
    given = ("--lengths-text", *own_text, "--lengths-image", *own_image)
    again = cli("train", "dpl", *place, *given, "--sentence", "template", "--out", tmp_path / "b")
    assert again.code == 0 and again.out == result.out
    assert same(*(checkpoint.read_checkpoint(tmp_path / run / "checkpoint.safetensors")[0] for run in "ab"))


def test_lengths_that_do_not_fit_are_refused(cli, tmp_path, photos):
    result = cli("train", "dpl", "--data", f"folder:{photos}", "--lengths-text", 1, 0, "--out", tmp_path / "a")
    assert result.code == 2 and "lengths_text has 2 values, but backbone 'tiny' has 4 such layers" in result.err
    assert not (tmp_path / "a").exists()
