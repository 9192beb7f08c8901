"""The contract of every method, alone and in every wrapper. Methods come from the registry, so new files are tested."""

from dataclasses import fields, replace
from functools import cache

import pytest
import torch

import tiny_clips
from cliptune import config, methods, model_io, presets
from cliptune.engine.evaluate import encoder_inputs, predict_logits
from cliptune.engine.fit import learned_structure, training_set
from cliptune.errors import UserError
from cliptune.model.method import Method
from cliptune.types import State
from tiny_tasks import DESCRIPTIONS, QUICK, fabric, learned, model, same, task, trained

WRAPPERS = methods.wrapper_names()
PLAIN = [name for name in methods.names() if name not in WRAPPERS]
TRAINED = [name for name in PLAIN if methods.get(name).trains]
#: Every method alone, DAPT around each that trains, and all wrappers around one.
USUAL = [*PLAIN, *(f"{inner}+dapt" for inner in TRAINED), "+".join(["maple", *WRAPPERS])]
#: The other wrappers around each method. By default only their own tests and the chain of all wrappers cover them.
OTHERS = [f"{inner}+{outer}" for inner in TRAINED for outer in WRAPPERS if outer != "dapt"]
NAMES = [*USUAL, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
TRAINING = replace(QUICK, augment="crop")
pytestmark = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


@pytest.fixture(scope="module")
def untouched(backbone):
    """The backbone's tensors before any training."""
    return snapshot(backbone)


@pytest.fixture(scope="module")
def run_of(backbone, untouched):
    """A method's model after training, and its history, shared by all tests, which must not modify it."""
    return cache(lambda name: trained(suited(name), backbone, TRAINING))


def suited(name: str) -> Method:
    """The method with sizes for a shallow backbone and a short test."""
    run = presets.get(name)
    known = {f.name for layer in config.nested_methods(run.method) for f in fields(layer)}  # type: ignore[arg-type]
    sizes = {key: 2 for key in known if key.startswith(("n_ctx", "depth", "longest"))}
    sizes |= {key: 1 for key in known if key in ("block", "cross_layer")}
    sizes |= {key: 4.0 for key in known if key == "kd_weight"}  # the published one diverges on random towers
    masks = {key: "data" for key in known if key == "masks_from"}
    masks |= {key: str(DESCRIPTIONS) for key in known if key == "descriptions"}
    try:
        return config.with_options(run, {**sizes, **masks}).method
    except UserError:  # the words need more vectors
        return config.with_options(run, {"words": "", **sizes, **masks}).method


@cache
def refusal(name: str) -> str:
    """The sentence with which a combination is refused; "" if it trains."""
    backbone, toy = tiny_clips.backbone("deep_image"), task()
    try:
        method = suited(name)
        tuned = model(method, backbone, toy).train()
        if method.trains:
            examples, masks = training_set(tuned, toy, QUICK)
            batch = next(iter(examples.epoch_batches(0, 2, torch.device("cpu"), masks=masks)))
            state = State(0, 10, method.prepare(tuned, toy))
            method.losses(tuned(method.views(batch), state), batch, state)
    except UserError as error:
        return str(error)
    return ""


@pytest.fixture(autouse=True)
def combined(name):
    """Skip methods that a wrapper refuses in one sentence; the wrapper's own tests say which these are."""
    if why := refusal(name):
        assert "+" in name and "\n" not in why and "; " in why
        pytest.skip(why)


def parameters(tuned):
    return [p for p in tuned.learner.parameters() if p.requires_grad]


def ready(name: str, backbone, seed: int = 1):
    """Named trainable tensors before the first step."""
    tuned = model(suited(name), backbone, task(), seed)
    tuned.method.prepare(tuned, task())
    return {n: p.detach().clone() for n, p in tuned.learner.named_parameters() if p.requires_grad}


def snapshot(backbone):
    return {name: tensor.clone() for name, tensor in backbone.state_dict().items()}


def test_a_method_can_be_built_without_arguments(name):
    method = methods.build(name)
    assert methods.name_of(method) == name
    assert config.method_from_dict(config.method_to_dict(method)) == method


def test_only_the_learner_trains(name, backbone, untouched, run_of):
    tuned, history = run_of(name)
    assert tuned.method.trains == bool(history) == bool(parameters(tuned))
    outside = [n for n, p in tuned.named_parameters() if p.requires_grad and not n.startswith("learner.")]
    assert outside == []
    assert all(p.grad is None for p in backbone.parameters())
    assert same(untouched, snapshot(backbone)), "the backbone changed"
    start, end = ready(name, backbone), learned(tuned)
    assert not [n for n in start if torch.equal(start[n], end[n])], "these were never trained"
    assert not tuned.training


def test_every_phase_lowers_its_loss(name, backbone):
    method = suited(name)
    tuned, toy = model(method, backbone, task()), task()
    if not method.trains:
        pytest.skip("nothing to learn")
    examples, masks = training_set(tuned, toy, QUICK)
    (batch,) = examples.epoch_batches(0, len(toy.train), torch.device("cpu"), masks=masks)
    memory = method.prepare(tuned, toy)
    for epoch in (0, 9):
        state, sums = State(epoch, 10, memory), []
        optimizer = torch.optim.SGD(parameters(tuned), lr=2e-4)
        for _ in range(8):
            losses = method.losses(tuned(method.views(batch), state), batch, state)
            assert all(loss.ndim == 0 for loss in losses.values())
            sums.append(sum(losses.values()).item())
            optimizer.zero_grad()
            method.update(losses, parameters(tuned))
            optimizer.step()
        assert sums[-1] < sums[0], f"epoch {epoch}: {sums}"


def test_losses_of_idle_views_have_no_gradient(name, backbone):
    method = suited(name)
    tuned, toy = model(method, backbone, task()).train(), task()
    if not method.trains:
        pytest.skip("nothing to learn")
    examples, masks = training_set(tuned, toy, QUICK)
    (batch,) = examples.epoch_batches(0, len(toy.train), torch.device("cpu"), masks=masks)
    memory, prompts = method.prepare(tuned, toy), learned_structure(tuned)
    for epoch in (0, 9):
        state, found = State(epoch, 10, memory), []
        idle = method.idle_views(prompts, state)
        for left_out in (frozenset(), idle) if idle else ():
            torch.manual_seed(0)  # dropout
            views = {view: x for view, x in method.views(batch).items() if view not in left_out}
            found.append(method.losses(tuned(views, state), batch, state))
        if not idle:
            continue
        whole, rest = found
        assert rest.keys() < whole.keys()
        assert not any(loss.requires_grad for loss_name, loss in whole.items() if loss_name not in rest)
        own = parameters(tuned)
        grads = [torch.autograd.grad(sum(losses.values()), own, allow_unused=True) for losses in (whole, rest)]
        for one, other in zip(*grads, strict=True):
            assert (one is None) == (other is None)
            assert one is None or torch.allclose(one, other, rtol=1e-4, atol=1e-6 * float(one.abs().max()))


def test_training_fits_the_images(name, backbone):
    if name not in TRAINED:
        pytest.skip("nothing to learn, or the losses of a wrapper, which compete with those of what it wraps")
    toy = task(classes=2, shots=4)
    training = replace(QUICK, epochs=10, lr=0.02, batch_size=8)
    _, history = trained(suited(name), backbone, training, toy)
    # Other losses of a method counteract this one, and may grow from almost zero.
    own = "ce" if "ce" in history[0] else "loss"
    assert history[-1][own] < history[0][own]


def test_class_names_at_test_time_change_text_features_only(name, backbone, run_of):
    tuned, _ = run_of(name)
    toy, before = task(), learned(tuned)
    if not tuned.accepts_new_classes:
        with pytest.raises(UserError, match="has trainable parameters per class, so it cannot take other"):
            tuned.with_classes(toy.classnames[::-1])
        return
    other = tuned.with_classes(("a", "sled dog", "steam_locomotive", "x"))
    assert other.learner is tuned.learner and other.backbone is backbone

    def answers(model, names):
        return predict_logits(model, toy.dataset, replace(toy.tests["test"], classnames=names))

    answered = answers(tuned, toy.classnames)
    wide = answers(tuned, (*other.classnames, *toy.classnames))
    (batch,) = encoder_inputs(tuned, toy.dataset, toy.tests["test"].examples)
    with torch.no_grad():  # a method may answer otherwise if some names are new
        mixed = tuned.with_classes(toy.classnames, novel=True).eval()({"image": batch}).logits
    known = mixed[:, : len(toy.classnames)]
    if not any(tuned.prompts().image_made):  # else images see all names
        assert torch.allclose(wide[:, 4:], known, atol=1e-3), "a class's logit is its own"
    assert wide.isfinite().all()
    assert torch.allclose(answers(tuned, toy.classnames[::-1]).flip(1), answered, atol=1e-3)
    assert torch.equal(answers(other, toy.classnames), answered)
    assert same(before, learned(tuned))


def test_a_loaded_checkpoint_predicts_the_same(name, backbone, run_of, tmp_path):
    tuned, _ = run_of(name)
    run = config.RunConfig(tuned.method, training=TRAINING)
    file = tmp_path / "checkpoint.safetensors"
    model_io.save_model(file, run, tuned)
    restored, again = model_io.load_model(tmp_path, backbone)
    toy = task()
    for test in toy.tests.values():
        if tuned.accepts_new_classes or test.classnames == toy.classnames:
            assert torch.equal(predict_logits(restored, toy.dataset, test), predict_logits(tuned, toy.dataset, test))
    assert again == run and restored.classnames == toy.classnames and same(learned(restored), learned(tuned))
    size = sum(tensor.nbytes for tensor in learned(tuned).values())
    assert file.stat().st_size < size + 8192, "the learned tensors and a header"
    # Learners that do not serve other classes have tensors of other shapes for another number of them.
    shapes = [{n: tuple(t.shape) for n, t in learned(model(tuned.method, backbone, task(k))).items()} for k in (3, 5)]
    assert shapes[0] != shapes[1] or tuned.accepts_new_classes


def test_the_same_seed_gives_the_same_numbers(name, backbone, run_of):
    tuned, history = run_of(name)
    torch.manual_seed(7)  # which must have no effect
    again, rows = trained(suited(name), backbone, TRAINING)
    assert same(learned(tuned), learned(again)) and history == rows
    one, other = ready(name, backbone, seed=1), ready(name, backbone, seed=2)
    copied = {tensor.numpy().tobytes() for tensor in backbone.state_dict().values()}
    fixed = [n for n in one if torch.equal(one[n], other[n]) and len(one[n].unique()) > 1]
    fixed = [n for n in fixed if one[n].numpy().tobytes() not in copied]
    assert len(fixed) <= 1, (
        "starts come from the seed, but for constants, weights, and what starts from words or images"
    )


def test_an_unknown_option_is_named(name):
    with pytest.raises(UserError, match="unknown option 'n_cxt'; "):
        config.with_options(presets.get(name), {"n_cxt": 3})


def test_bf16_trains_float32_tensors(name, backbone, run_of):
    half = fabric("bf16-mixed")
    with backbone.autocast_with(half.autocast):
        tuned, history = trained(suited(name), backbone, TRAINING, fabric=half)
    _, whole = run_of(name)
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in tuned.learner.parameters())
    for row, reference in zip(history, whole, strict=True):
        assert row["loss"] == pytest.approx(reference["loss"], rel=0.3)
