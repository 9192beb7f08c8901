"""Cards have the answers of the runs; what cannot be read or used is a sentence at its place."""

import io

import numpy as np
import pytest
from PIL import Image

from cliptune.app.comparison import parse_classes
from cliptune.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:backbone 'tiny' was not trained on")


def pixels(answer):
    return np.asarray(Image.open(io.BytesIO(answer.picture)), dtype=float)


def test_answers_are_those_of_the_runs(comparison, runs, photos):
    files = [photos / "cat" / "0.png", photos / "pig" / "1.png"]
    cards = comparison.cards(files)
    assert [card.image for card in cards] == ["0.png", "1.png"]
    for card, file in zip(cards, files, strict=True):
        for answer, (name, run) in zip(card.answers, runs, strict=True):
            expected = [(n, pytest.approx(p, abs=1e-5)) for n, p in run.predict([file], top_k=3)[0]]
            assert (answer.run, list(answer.classes), answer.error) == (name, expected, "")


def test_other_classes_where_a_run_can_take_them(comparison, runs, photos):
    (card,) = comparison.cards([photos / "cat" / "0.png"], "dog, cat\n ßxq ,")
    coop, probe = card.answers
    assert sorted(name for name, _ in coop.classes) == ["cat", "dog", "ßxq"]
    assert "was not trained on" in coop.captions[-1]
    assert "parameters per class" in probe.error and not probe.classes


def test_views_differ_and_say_what_they_are(comparison, photos, cutouts):
    file = photos / "cat" / "0.png"
    plain, heat, mask = (comparison.cards([file], view=view)[0].answers[0] for view in ("image", "saliency", "mask"))
    assert not plain.captions and heat.captions == ["Grad-CAM of the first class"]
    assert mask.captions == ["mask: Grad-CAM above half its maximum"]
    for answer in (heat, mask):
        assert pixels(answer).shape == pixels(plain).shape
        assert np.abs(pixels(answer) - pixels(plain)).mean() > 5
    (card,) = comparison.cards([cutouts / "cat" / "0.png"], view="mask")
    assert card.answers[0].captions == ["mask: opacity of the file"]


def test_a_file_that_is_no_image_spoils_only_its_own_card(comparison, photos, tmp_path):
    (tmp_path / "bad.png").write_text("text")
    (tmp_path / "large.png").write_bytes(bytes(2 << 20))
    good = photos / "cat" / "0.png"
    cards = comparison.cards([tmp_path / "bad.png", good, tmp_path / "large.png"])
    assert "bad.png cannot be read: it is no image" in cards[0].error and not cards[0].answers
    assert cards[1].answers and not cards[1].error
    assert "has 2.0 MiB, more than the 1 MiB" in cards[2].error
    with pytest.raises(UserError, match="4 images were chosen; at most 3"):
        comparison.cards([good] * 4)


def test_class_names_are_checked():
    assert parse_classes("", 5) == parse_classes(" ,\n", 5) == ()
    assert parse_classes("a cat, dog\nred fox", 5) == ("a cat", "dog", "red fox")
    for text, sentence in (
        ("a", "at least two"),
        ("a, a", "twice"),
        ("a,b,c,d,e,f", "6 class names"),
        ("a,\x1b", "line"),
    ):
        with pytest.raises(UserError, match=sentence):
            parse_classes(text, 5)
