"""The functions behind the page: what was asked before is not computed again; corrections are of chosen files only."""

from cliptune.app.page import Page, render_cards


def test_the_same_question_is_computed_once(page, photos, monkeypatch):
    files = [str(photos / "cat" / "0.png")]
    first = page.answer(files, "", "Image")
    monkeypatch.setattr(page.comparison, "cards", lambda *_: [])
    assert page.answer(files, "", "Image") == first and "%" in first
    assert page.answer(files, "", "Mask") != first


def test_mistakes_are_shown_in_place_of_answers(page, photos):
    html = page.answer([str(photos / "cat" / "0.png")], "<b>, <b>", "Image")
    assert "is listed twice" in html and "<b>" not in html
    assert render_cards([], 2).strip() == ""


def test_corrections_are_of_chosen_files(page: Page, photos):
    files = [str(photos / "cat" / "0.png"), str(photos / "pig" / "0.png")]
    images, classes = page.choices(files, "")
    assert images == [("1. 0.png", 0), ("2. 0.png", 1)] and classes == ["cat", "horse", "pig"]
    assert page.choices(files, "dog, fish")[1] == ["dog", "fish"]
    for chosen, index, label in (
        (files, 2, "cat"),
        (files, -1, "cat"),
        (None, 0, "cat"),
        (files, 0, ""),
        (files, None, "x"),
    ):
        assert page.correct(chosen, index, label) == "Choose an image and its class first."
    assert page.corrections.rows() == {}
    assert "0.png is pig. 1 image in" in page.correct(files, 1, "pig")
    assert "not a printable line" in page.correct(files, 1, "a\nb")
