"""Coresets: selected images, their weights, the signals for selection, and the saved selection."""

import json
from dataclasses import replace

import pytest
import torch

from cliptune import coresets, experiment, tasks
from cliptune.config import RunConfig, fingerprint
from cliptune.data.custom.folder import Folder
from cliptune.data.loader import ExampleSet
from cliptune.engine import coreset
from cliptune.engine.config import TrainConfig
from cliptune.errors import UserError
from cliptune.methods.cocoop import CoCoOp
from cliptune.methods.coop import CoOp
from cliptune.methods.zeroshot import ZeroShot
from tiny_tasks import fabric, learned, model, same, task, trained, write_images

BRIEF = TrainConfig(epochs=2, lr=0.05, batch_size=4, augment="none")


def reduced(tiny, toy, share, selector, method=None, variant="paper"):
    made = method or CoOp(n_ctx=2)
    return coreset.select_coreset(lambda: model(made, tiny, toy), toy, share, selector, variant, BRIEF, fabric())


def keys(toy):
    return [e.key for e in toy.train]


def test_uniform_keeps_a_share_of_each_class_in_pool_order(tiny_backbone):
    toy = task(shots=6)
    left = reduced(tiny_backbone, toy, 0.5, "uniform")
    assert [sum(e.label == c for e in left.train) for c in range(3)] == [3, 3, 3]
    assert keys(left) == [k for k in keys(toy) if k in set(keys(left))] and set(left.train) <= set(toy.train)
    assert keys(left) == keys(reduced(tiny_backbone, toy, 0.5, "uniform"))
    other = replace(toy, seed=2)
    assert keys(left) != keys(reduced(tiny_backbone, other, 0.5, "uniform")), "the seed decides"
    assert reduced(tiny_backbone, toy, 1.0, "uniform") is toy
    assert (left.val, left.tests) == (toy.val, toy.tests)


def test_selectors_receive_signals_of_the_untrained_model(tiny_backbone):
    toy = task(shots=4)
    tuned = model(CoOp(n_ctx=2), tiny_backbone, toy).eval()
    signals = coreset.compute_signals(tuned, toy, BRIEF)
    images = ExampleSet(toy.dataset, toy.train, tiny_backbone.preprocess)
    with torch.no_grad():
        for i in (0, 5, 11):
            image, _, label, _ = images.item(i)
            one = images.batch([image[None], torch.empty(1, 0), torch.tensor([label]), torch.tensor([i])], "cpu")
            out = tuned({"image": one.images})
            torch.testing.assert_close(signals.features[i], out.image["image"][0], atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(signals.logits[i], out.logits[0], atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(signals.text, tuned.encode_classes()[0].detach(), atol=1e-5, rtol=1e-4)
    assert signals.val_features.shape == (len(toy.val), signals.features.shape[1])
    assert signals.val_labels.tolist() == [e.label for e in toy.val]


def test_herding_uses_the_signals(tiny_backbone):
    toy = task(shots=6)
    signals = coreset.compute_signals(model(CoOp(n_ctx=2), tiny_backbone, toy), toy, BRIEF)
    expected = coresets.select("herding", signals, torch.tensor([e.label for e in toy.train]), 0.5, seed=toy.seed)
    assert keys(reduced(tiny_backbone, toy, 0.5, "herding")) == [toy.train[i].key for i in expected.indices]


def test_a_frozen_tower_encodes_the_pool_once(tiny_backbone, monkeypatch):
    toy = task()
    first = coreset.compute_signals(model(CoOp(n_ctx=2), tiny_backbone, toy), toy, TrainConfig(augment="none"))
    monkeypatch.setattr(type(tiny_backbone), "encode_image", lambda *_: pytest.fail("encoded again"))
    again = coreset.compute_signals(model(CoOp(n_ctx=4), tiny_backbone, toy), toy, TrainConfig(augment="none"))
    assert torch.equal(first.features, again.features) and not torch.equal(first.logits, again.logits)


def test_image_conditional_class_features_are_averaged(tiny_backbone):
    toy = task(shots=3)
    tuned = model(CoCoOp(words="a photo of a"), tiny_backbone, toy)
    signals = coreset.compute_signals(tuned, toy, BRIEF)
    assert signals.text.shape == (3, signals.features.shape[1])
    torch.testing.assert_close(signals.text.norm(dim=1), torch.ones(3))
    assert len(reduced(tiny_backbone, toy, 0.4, "craig", CoCoOp(words="a photo of a")).train) == 3


def test_selector_weights_reach_the_batches(tiny_backbone):
    toy = task(shots=6)
    left = reduced(tiny_backbone, toy, 0.4, "craig")
    assert sum(e.weight for e in left.train) == len(toy.train), "a weight counts the images nearest to it"
    images = ExampleSet(left.dataset, left.train, tiny_backbone.preprocess)
    (batch,) = images.in_order(100, torch.device("cpu"))
    expected = torch.tensor([e.weight for e in left.train])
    torch.testing.assert_close(batch.weights, expected / expected.mean())
    even = ExampleSet(toy.dataset, toy.train, tiny_backbone.preprocess)
    assert next(even.in_order(3, torch.device("cpu"))).weights is None


def test_weighted_training_is_the_same_with_cached_features(tiny_backbone):
    toy = task(shots=4)
    heavy = replace(toy, train=tuple(replace(e, weight=1.0 + i) for i, e in enumerate(toy.train)))
    results = {}
    for name, chosen, views in (("images", heavy, 0), ("features", heavy, 1), ("even", toy, 0)):
        training = replace(BRIEF, epochs=3, cached_views=views)
        results[name] = learned(trained(CoOp(n_ctx=2), tiny_backbone, training, chosen)[0])
    for name, tensor in results["images"].items():
        torch.testing.assert_close(results["features"][name], tensor, atol=1e-5, rtol=1e-3)
    assert not same(results["images"], results["even"])


def test_forgetting_records_a_short_training(tiny_backbone):
    toy = task(shots=4)
    rows = coreset.correctness_history(model(CoOp(n_ctx=2), tiny_backbone, toy), toy, BRIEF, fabric())
    assert rows.shape == (1 + coreset.FORGETTING_EPOCHS, len(toy.train)) and rows.dtype == torch.bool
    untrained = coreset.compute_signals(model(CoOp(n_ctx=2), tiny_backbone, toy), toy, BRIEF)
    assert torch.equal(rows[0], untrained.logits.argmax(1) == torch.tensor([e.label for e in toy.train]))
    assert len(reduced(tiny_backbone, toy, 0.5, "forgetting").train) == 6
    still = coreset.correctness_history(model(ZeroShot(), tiny_backbone, toy), toy, BRIEF, fabric())
    assert still.shape == (1, len(toy.train)), "nothing trains, so nothing is forgotten"


@pytest.mark.parametrize(
    "selector, message",
    [
        ("hearding", "unknown coreset method 'hearding'; nearest: herding"),
        ("uncertainty,measur=x", "no option 'measur'"),
        ("uncertainty,measure", "measure='' is none of margin"),
        ("gradmatch,ridge=much", "ridge='much' of gradmatch is not of type number"),
        ("gradmatch,validation=yes", "validation='yes' of gradmatch is not of type boolean"),
    ],
)
def test_invalid_selectors_are_refused(tiny_backbone, selector, message):
    with pytest.raises(UserError, match=message):
        reduced(tiny_backbone, task(), 0.5, selector)


def test_options_of_a_selector(tiny_backbone):
    assert coresets.parse_selector("uncertainty, measure=entropy") == ("uncertainty", {"measure": "entropy"})
    assert coresets.parse_selector("gradmatch,ridge=1e-2, validation=True") == (
        "gradmatch",
        {"ridge": 0.01, "validation": True},
    )
    assert coresets.parse_selector("gradmatch,ridge=none,validation=false")[1] == {"ridge": None, "validation": False}
    assert coresets.parse_selector("glister,updates=3,eta = 1")[1] == {"updates": 3, "eta": 1}
    assert len(reduced(tiny_backbone, task(shots=4), 0.5, "uncertainty,measure=entropy").train) == 6


FORMS = [
    *(name for name in coresets.names() if name not in ("submodular", "uncertainty")),
    *(f"submodular,function={name}" for name in ("graph_cut", "facility_location", "log_determinant")),
    *(f"uncertainty,measure={name}" for name in ("margin", "entropy", "least_confidence")),
    "gradmatch,validation=true",
]
#: Selectors of which one variant needs validation images.
ASKING = {("gradmatch,validation=true", "paper"), ("gradmatch,validation=true", "dapt"), ("glister", "dapt")}


@pytest.fixture(scope="module")
def uneven(tiny_backbone):
    """A task whose first class has one image, and the signals of an untrained model."""
    toy = task(shots=6)
    toy = replace(toy, train=tuple(e for e in toy.train if e.label or e == toy.train[0]))
    assert [sum(e.label == c for e in toy.train) for c in range(3)] == [1, 6, 6]
    signals = coreset.compute_signals(model(CoOp(n_ctx=2), tiny_backbone, toy), toy, BRIEF)
    watched = coreset.correctness_history(model(CoOp(n_ctx=2), tiny_backbone, toy), toy, BRIEF, fabric())
    return toy, signals, watched


@pytest.mark.parametrize("variant", ["paper", "dapt"])
@pytest.mark.parametrize("selector", FORMS)
def test_every_selector_on_images(selector, variant, uneven, tiny_backbone, monkeypatch):
    toy, signals, watched = uneven
    monkeypatch.setattr(coreset, "compute_signals", lambda *_: signals)
    monkeypatch.setattr(coreset, "correctness_history", lambda *_: watched)
    for share, each in ((0.01, [1, 1, 1]), (0.5, [1, 3, 3]), (0.99, [1, 6, 6]), (1.0, [1, 6, 6])):
        left = reduced(tiny_backbone, toy, share, selector, variant=variant)
        counts = [sum(e.label == c for e in left.train) for c in range(3)]
        if selector.startswith("gradmatch") and variant == "dapt":
            assert all(0 < c <= most for c, most in zip(counts, each, strict=True)), "those of weight 0 are left out"
        else:
            assert counts == each or (selector == "full" and left.train == toy.train)
        assert keys(left) == [k for k in keys(toy) if k in set(keys(left))], "each once, in the pool's order"
        assert all(e.weight >= 0 for e in left.train) and sum(e.weight for e in left.train) > 0
    alone = replace(signals, val_features=None, val_labels=None, val_logits=None)
    monkeypatch.setattr(coreset, "compute_signals", lambda *_: alone)
    if (selector, variant) in ASKING:
        with pytest.raises(UserError, match=r"needs the signal 'val_.*': .*validation images"):
            reduced(tiny_backbone, toy, 0.5, selector, variant=variant)
    else:
        assert len(reduced(tiny_backbone, toy, 0.5, selector, variant=variant).train) >= 3


@pytest.fixture
def run(tmp_path):
    root = write_images(tmp_path / "p", each=8)
    return RunConfig(
        CoOp(n_ctx=2), data=f"folder:{root}", shots=0, protocol="data_efficient", fraction=0.5, training=BRIEF,
        selector="herding",
    )  # fmt: skip


def test_a_run_trains_on_its_coreset_and_saves_it(run, tmp_path):
    _, result = experiment.run_experiment(run, tmp_path / "r")
    saved = json.loads((tmp_path / "r" / "coreset.json").read_text())
    pool = [e.key for e in Folder(tmp_path / "p").examples("train")]
    chosen = [key for key, _ in saved["pictures"]]
    assert saved["run"] == fingerprint(run) and set(chosen) < set(pool)
    assert [sum(key.startswith(name) for key in chosen) for name in ("cat", "horse", "pig")] == [2, 2, 2]
    whole = replace(run, fraction=1.0, selector="full")
    _, everything = experiment.run_experiment(whole)
    assert everything.provenance["data_fingerprint"] != result.provenance["data_fingerprint"]
    assert (result.config["fraction"], result.config["selector"]) == (0.5, "herding")


def test_a_resumed_run_uses_the_saved_coreset(run, tmp_path, monkeypatch):
    pool = tasks.build_task(run)
    selected = replace(pool, train=tuple(replace(e, weight=2.0) for e in pool.train[1:3]))
    coreset.write_coreset(tmp_path / "coreset.json", fingerprint(run), selected)
    assert coreset.read_coreset(tmp_path / "coreset.json", fingerprint(run), pool) == selected
    assert coreset.read_coreset(tmp_path / "coreset.json", "another", pool) is None
    fewer = replace(pool, train=pool.train[2:])
    assert coreset.read_coreset(tmp_path / "coreset.json", fingerprint(run), fewer) is None, "other images than then"
    (tmp_path / "coreset.json").write_text("{")
    assert coreset.read_coreset(tmp_path / "coreset.json", fingerprint(run), pool) is None
    folder = tmp_path / "r"
    folder.mkdir()
    coreset.write_coreset(folder / "coreset.json", fingerprint(run), selected)
    monkeypatch.setattr(coreset, "select_coreset", None)
    experiment.run_experiment(run, folder)
