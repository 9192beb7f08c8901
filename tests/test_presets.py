"""Published settings: every file is a valid run, and says what the papers say."""

from pathlib import Path

import pytest
import yaml

from cliptune import methods, presets, protocols
from cliptune.config import Run, chain
from cliptune.engine.settings import Training
from cliptune.errors import UserError

FILES = sorted(Path(presets.__file__).parent.glob("*/*.yaml"))
LARGE = {"backbone": "ViT-B-16", "pretrained": "openai"}


def published(name, protocol, **more):
    return presets.get(name, protocol=protocol, **{**LARGE, **more})


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_every_file_names_its_source_and_gives_a_run(file):
    assert file.parent.name in methods.names() and file.stem in [*protocols.names(), "tiny"]
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# ") and set(yaml.safe_load(text)) <= {"method", "training"}
    name = file.parent.name
    names = [f"coop+{name}", f"maple+{name}"] if name in methods.wrapper_names() else [name]
    for name in names:
        backbone = {"backbone": "tiny"} if file.stem == "tiny" else {**LARGE, "protocol": file.stem}
        run = presets.get(name, **backbone)
        assert isinstance(run, Run) and methods.name_of(run.method) == name
        assert run.training != Training() or run.method != methods.build(name), "the file changes nothing"


@pytest.mark.parametrize("shots, epochs", [(1, 50), (2, 100), (4, 100), (8, 200), (16, 200), (0, 200)])
def test_coop_few_shot(shots, epochs):
    run = published("coop", "few_shot", shots=shots)
    training = run.training
    assert (training.lr, training.epochs, training.batch_size, training.keep) == (2e-3, epochs, 32, "last")
    assert (run.method.n_ctx, run.method.words, run.method.class_specific) == (16, "", False)


def test_coop_base_to_novel():
    run = published("coop", "base_to_novel")
    assert (run.training.lr, run.training.epochs, run.training.batch_size) == (2e-3, 200, 32)
    assert run.method.words == "a photo of a" and run.method.length == 4


@pytest.mark.parametrize("protocol, epochs", [("base_to_novel", 5), ("few_shot", 50)])
def test_maple(protocol, epochs):
    run = published("maple", protocol)
    assert (run.training.lr, run.training.epochs, run.training.batch_size) == (3.5e-3, epochs, 4)
    assert (run.method.n_ctx, run.method.depth, run.method.words) == (2, 9, "a photo of a")


@pytest.mark.parametrize(
    "protocol, epochs, batch, keep", [("base_to_novel", 5, 1, "last"), ("few_shot", 10, 4, "best")]
)
def test_dapt_around_maple(protocol, epochs, batch, keep):
    run = published("maple+dapt", protocol)
    training, method = run.training, run.method
    assert (training.lr, training.epochs, training.batch_size, training.keep) == (3.5e-3, epochs, batch, keep)
    assert (method.pull_push, method.margin, method.foreground, method.background) == (0.8, 1.5, 0.1, 0.5)
    assert (method.base.n_ctx, method.base.depth) == (2, 9)


def test_the_optimiser_of_the_whole_family():
    for file in FILES:
        if file.stem != "tiny" and file.parent.name not in methods.wrapper_names():
            training = published(file.parent.name, file.stem).training
            assert (training.momentum, training.weight_decay) == (0.9, 5e-4)
            assert (training.warmup_epochs, training.warmup_lr, training.augment) == (1, 1e-5, "crop")


def test_a_wrapper_has_the_last_word_on_training_and_leaves_methods_alone():
    alone, around = published("coop", "few_shot"), published("coop+dapt", "few_shot")
    assert around.method.base == alone.method
    assert around.training == published("maple+dapt", "few_shot").training != alone.training


@pytest.mark.parametrize("name", [n for n in methods.names() if n not in methods.wrapper_names()])
def test_the_tiny_backbone_has_settings_of_its_own(name):
    for protocol in protocols.names():
        run = presets.get(name, protocol=protocol)
        assert run == presets.get(name, protocol=protocol, backbone="tiny")
        assert all(getattr(layer, "depth", 1) <= 6 for layer in chain(run.method)), "deeper than the tiny towers"


def test_a_dash_in_the_protocol():
    assert published("maple", "base-to-novel").training == published("maple", "base_to_novel").training


def test_a_method_without_a_file_keeps_its_defaults():
    assert published("zeroshot", "few_shot") == Run(methods.build("zeroshot"), **LARGE)
    assert presets.get("cliptune.methods.coop:CoOp") == Run(methods.build("coop"))


def test_fields_of_the_run_pass_through():
    run = presets.get("coop", data="folder:x", shots=4, seed=9, backbone="tiny")
    assert (run.data, run.shots, run.seed, run.backbone) == ("folder:x", 4, 9, "tiny")


def test_an_unknown_method():
    with pytest.raises(UserError, match="unknown method 'mapel'; nearest: maple"):
        presets.get("mapel+dapt")
