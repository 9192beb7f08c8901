"""Properties of every coreset method."""

from dataclasses import replace

import pytest
import torch

from cliptune import coresets
from cliptune.coresets import Signals, select
from naive_coresets import pool
from tiny_tasks import drawings, fabric

FORMS = [
    *((name, {}) for name in coresets.names()),
    *(("submodular", {"function": f}) for f in ("facility_location", "log_determinant")),
    *(("uncertainty", {"measure": m}) for m in ("least_confidence", "entropy")),
    ("gradmatch", {"validation": True}),
]
every = pytest.mark.parametrize("method, options", FORMS)
either = pytest.mark.parametrize("variant", ["paper", "dapt"])


def chosen(*arguments, **more):
    return select(*arguments, **more).indices.tolist()


def test_names():
    assert set(coresets.names()) == {
        "full", "uniform", "herding", "uncertainty", "forgetting", "grand", "craig", "gradmatch", "glister",
        "submodular", "k_center", "contextual_diversity", "cal", "deepfool",
    }  # fmt: skip
    assert coresets.get("k-center") is coresets.get("k_center")
    assert coresets.get("naive_coresets:pool") is pool


@either
@every
def test_budgets_and_order(method, options, variant):
    signals, labels = pool(31)
    for fraction in (0.1, 0.3, 0.55):
        for balanced in (True, False):
            found = select(method, signals, labels, fraction, balanced=balanced, variant=variant, **options)
            assert found.indices.tolist() == sorted(set(found.indices.tolist()))
            if method == "full":
                assert len(found.indices) == 31
            elif (method, variant) != ("gradmatch", "dapt"):  # drops images of weight 0
                counts = torch.bincount(labels[found.indices], minlength=3).tolist()
                if balanced:
                    assert counts == [max(1, round(fraction * k)) for k in torch.bincount(labels).tolist()]
                else:
                    assert sum(counts) == round(fraction * 31)
            if found.weights is not None:
                assert found.weights.shape == found.indices.shape and bool((found.weights >= 0).all())
            if found.scores is not None:
                assert found.scores.shape == labels.shape


@either
@every
def test_selection_is_reproducible(method, options, variant):
    signals, labels = pool(40)
    torch.manual_seed(1)
    one = select(method, signals, labels, 0.3, seed=5, variant=variant, **options)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    other = select(method, signals, labels, 0.3, generator=torch.Generator().manual_seed(5), variant=variant, **options)
    assert one.indices.equal(other.indices)
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize("method", ["uniform", "k_center", "contextual_diversity"])
def test_seeds_differ(method):
    signals, labels = pool(40)
    assert len({tuple(chosen(method, signals, labels, 0.3, seed=s)) for s in range(5)}) > 1


@either
@every
def test_a_fraction_of_one(method, options, variant):
    signals, labels = pool(20)
    for balanced in (True, False):
        found = select(method, signals, labels, 1.0, balanced=balanced, variant=variant, **options)
        if (method, variant) != ("gradmatch", "dapt"):
            assert found.indices.tolist() == list(range(20))
        if found.weights is not None and variant == "paper" and not options:
            assert found.weights.tolist() == [1.0] * 20


@either
@every
def test_a_class_of_one_image_and_a_tiny_fraction(method, options, variant):
    signals, labels = pool(12)
    rest = labels.clone()
    rest[labels == 2] = 1
    rest[5] = 2  # alone
    found = select(method, signals, rest, 0.01, variant=variant, **options)
    if method != "full":
        assert torch.bincount(rest[found.indices], minlength=3).tolist() == [1, 1, 1]
    assert 5 in found.indices


@either
@every
def test_duplicates(method, options, variant):
    """Pools that contain every image four times."""
    signals, labels = pool(8, 2)
    four = torch.arange(32) % 8
    per_image = ("features", "logits")
    twins = replace(signals, **{name: getattr(signals, name)[four].float() for name in per_image},
                    correct=signals.correct[:, four], text=signals.text.float(),
                    val_features=signals.val_features.float(), val_logits=None)  # fmt: skip
    for balanced in (True, False):
        found = select(method, twins, labels[four], 0.25, balanced=balanced, variant=variant, **options)
        assert len(found.indices) == (32 if method == "full" else 8) or (method, variant) == ("gradmatch", "dapt")
        assert found.weights is None or bool(found.weights.isfinite().all())
        if method in ("k_center", "contextual_diversity") and not balanced:
            assert sorted(four[found.indices].tolist()) == list(range(8))


def test_the_earlier_image_wins_a_tie():
    signals, labels = pool(12)
    same = Signals(logits=torch.zeros(12, 3), correct=torch.ones(3, 12), features=signals.features)
    for method in ("uncertainty", "forgetting"):
        assert chosen(method, same, labels, 0.5, balanced=False) == list(range(6))


def test_logits_are_computed_from_features():
    signals, labels = pool(20)
    for method in ("uncertainty", "grand", "craig", "contextual_diversity"):
        whole = chosen(method, signals, labels, 0.3)
        assert chosen(method, replace(signals, logits=None), labels, 0.3) == whole


def test_half_precision_lists_and_signals_with_gradients():
    signals, labels = pool(20)
    half = Signals(signals.features.half(), signals.text.float().requires_grad_(), logit_scale=torch.tensor(8.0))
    found = select("craig", half, labels.tolist(), 0.3)
    assert found.weights is not None and found.weights.dtype == torch.float32
    assert not found.weights.requires_grad


@pytest.fixture(scope="module")
def emoji_signals(tiny_backbone):
    """Features of the emoji images of four classes by the bundled backbone."""
    from cliptune.data.loader import ExampleSet
    from cliptune.data.splits import select_labels

    source, labels_used = drawings(), tuple(range(4))
    parts = {}
    for split in ("train", "val"):
        examples = select_labels(source.examples(split), labels_used)
        images = ExampleSet(source, examples, tiny_backbone.preprocess)
        with torch.no_grad():
            rows = [tiny_backbone.encode_image(b.images) for b in images.in_order(16, fabric().device)]
        features = torch.nn.functional.normalize(torch.cat(rows), dim=1)
        parts[split] = features, torch.tensor([e.label for e in examples])
    with torch.no_grad():
        text = tiny_backbone.class_features(tiny_backbone.tokenize([f"a {source.classnames[i]}." for i in labels_used]))
    features, labels = parts["train"]
    correct = (torch.rand(5, len(labels), generator=torch.Generator().manual_seed(0)) < 0.6).long()
    return Signals(features, text, None, float(tiny_backbone.logit_scale), correct, *parts["val"]), labels


@either
@every
def test_on_real_images(emoji_signals, method, options, variant):
    signals, labels = emoji_signals
    found = select(method, signals, labels, 0.25, variant=variant, **options)
    if method not in ("full", "gradmatch"):
        assert torch.bincount(labels[found.indices]).tolist() == [2] * 4
    for part in (found.weights, found.scores):
        assert part is None or not bool(part.isnan().any())
