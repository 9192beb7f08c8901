"""The recommendation at the top of the page."""

from pathlib import Path

import pytest

from cliptune.report.recommendation import margin_over, recommend
from cliptune.results.store import load_results

DEMO = Path(__file__).parents[2] / "benchmarks" / "results" / "demo"


def made(record, **methods):
    """Three seeds of "test" accuracy for each method; zeroshot has no trainable parameters."""
    return [
        record(name, seed, test=value, parameters=0.0 if name == "zeroshot" else float(1000 * len(name)))
        for name, values in methods.items()
        for seed, value in enumerate(values, 1)
    ]


def test_a_clear_lead(record):
    (one,) = recommend(made(record, zeroshot=(40, 40, 40), coop=(60, 61, 62), maple=(50, 51.2, 52)))
    assert one.answer == "coop has the highest accuracy on test: 61.0 %, 9.9 points above maple."
    assert one.heading == ""
    assert any("significant over seeds" in note for note in one.notes)
    assert "coop is 21.0 points above zeroshot, which has no trainable parameters." in one.notes


def test_a_lead_that_is_not_significant_names_the_rivals_and_the_cheapest(record):
    (one,) = recommend(made(record, maple=(50, 60, 70), ivlp=(52, 57, 68), zeroshot=(10, 10, 11)))
    assert one.answer == (
        "No clear winner: maple has the highest accuracy on test, 60.0 %, but ivlp (59.0 %) is within one standard "
        "error of it."
    )
    words = " ".join(one.notes)
    assert "The difference from ivlp is not significant" in words and "at least 3" in words
    assert "Of these, ivlp has the fewest trainable parameters: 4,000 compared with 5,000." in words


def test_one_seed_is_judged_by_its_test_images(record):
    """960 images at 50 %: one standard error is 1.6 points, of a difference 2.3."""
    for other, clear in ((47.0, True), (48.0, False)):
        (one,) = recommend([record("coop", base=50.0), record("maple", base=other)])
        assert (
            one.answer.startswith("coop has the highest" if clear else "No clear winner: coop has the highest") is True
        )
        assert "(one standard error is 2.3 points on these test images)" in one.notes[0]


def test_a_tie_has_no_winner(record):
    (one,) = recommend([record("coop", test=60.0), record("maple", test=60.0), record("ivlp", test=60.0)])
    assert one.answer.startswith(
        "No clear winner: coop has the highest accuracy on test, 60.0 %, but ivlp (60.0 %) and "
    )


def test_the_recorded_demo_has_no_clear_winner():
    """MaPLe+DAPT is 0.3 points above MaPLe, and zero-shot keeps novel classes as well as they do."""
    (one,) = recommend(load_results(DEMO))
    assert one.answer == (
        "No clear winner: maple+dapt has the highest harmonic mean of base and novel accuracy, 44.0 %, but maple "
        "(43.7 %), maple+dapt, published weights (43.5 %) and maple+copypaste (43.1 %) are within one standard error "
        "of it."
    )
    words = " ".join(one.notes)
    assert "coop+dapt (48.9 %, not clearly above coop)" in words
    assert "Every tuned method" not in words


def test_a_single_seed_is_noted(record):
    (one,) = recommend([record("coop", test=60.0), record("maple", test=50.0)])
    assert "one seed" in one.notes[0] and "--seeds 1 2 3" in one.notes[0]


def test_base_novel_and_backgrounds(study):
    (one,) = recommend(study)
    words = " ".join(one.notes)
    assert "harmonic mean of base and novel" in one.answer
    assert "Best on base classes: maple (52.7 %)" in words or "Best on base classes:" in words
    assert "relies least on backgrounds" in words


def test_the_untuned_model_may_be_best(record):
    (one,) = recommend(made(record, zeroshot=(70, 70, 70), coop=(60, 61, 62)))
    assert "no tuned method here improves on the untuned model" in " ".join(one.notes)


def test_loss_on_novel_classes_is_noted(record):
    runs = [record("zeroshot", base=40.0, novel=60.0, parameters=0.0), record("coop", base=80.0, novel=50.0)]
    assert "Every tuned method is clearly below the untuned model" in " ".join(recommend(runs)[0].notes)


def test_datasets_are_separate_and_use_the_most_shots(record):
    runs = [record(m, data=d, shots=k, test=float(k + len(m))) for m in ("a", "bb") for d in "xy" for k in (1, 4)]
    found = recommend(runs)
    assert [one.heading for one in found] == ["x, 4 training images per class", "y, 4 training images per class"]
    assert all(one.answer.startswith("bb has the highest accuracy on test: 6.0 %") for one in found)


def test_one_method_is_not_ranked(record):
    assert recommend([record("coop", test=1.0)]) == []
    assert recommend([record("coop", test=1.0), record("maple", other__same=2.0)]) == []


def test_a_lead_by_hand(record):
    runs = made(record, a=(5, 7, 6), b=(1, 2, 3))
    found = margin_over(runs[:3], runs[3:], "test")
    assert (found.mean, found.seeds) == (4.0, 3)
    assert found.half == pytest.approx(4.302653 * 1.0 / 3**0.5, rel=1e-5)  # differences 4, 5, 3; t(0.975, 2)
    assert found.significant
    alone = margin_over(runs[:1], runs[4:], "test")
    assert alone.half is None and alone.seeds == 0 and not alone.significant and alone.mean == 2.5
