"""Chains of wrappers around every method, on backbones of four kinds: each combination trains, serves new class names,
has Grad-CAM and MaskCLIP maps and is the same after loading, or is refused in one sentence before training."""

import logging
from dataclasses import replace
from functools import cache

import pytest
import torch

import narrow_configs
import tiny_clips
from cliptune import config, model_io
from cliptune.backbones.load import load_backbone
from cliptune.engine.evaluate import predict_logits
from cliptune.errors import UserError
from cliptune.saliency.gradcam import gradcam
from cliptune.saliency.maskclip import maskclip
from contracts.test_methods import PLAIN, TRAINED, WRAPPERS, suited
from tiny_tasks import QUICK, learned, task, trained

#: ViTs with a wider image tower and with a wider text tower, a ResNet, and a SigLIP.
BACKBONES = ("deep_image", "deep_text", "resnet", "siglip")
#: Wrappers from the inside out.
CHAINS = ("dept+dapt", "dapt+dept", "atprompt+dapt", "atprompt+dept", "atprompt+dept+dapt", "dapt+copypaste")
ONE_STEP = replace(QUICK, epochs=1)
#: By default, a chain, and some methods on other towers.
FEW = [("coop+dept+dapt", "deep_image"), ("hicropl", "deep_image"), ("tcp+dapt", "siglip"), ("taskres", "siglip")]
ALL = [(name, of) for name in PLAIN for of in BACKBONES]
ALL += [(f"{name}+{wrapper}", of) for name in TRAINED for wrapper in WRAPPERS for of in BACKBONES]
ALL += [(f"{name}+{chain}", "deep_image") for name in TRAINED for chain in CHAINS]


@pytest.fixture(scope="module", autouse=True)
def backbone(tmp_path_factory):
    """A function that returns the backbone of a kind."""
    previous, root = logging.root.manager.disable, tmp_path_factory.mktemp("models")
    logging.disable(logging.ERROR)  # open_clip logs that the weights of the model are random

    @cache
    def made(kind: str):
        if kind != "siglip":
            return tiny_clips.backbone(kind)
        return load_backbone(str(narrow_configs.folder("ViT-B-16-SigLIP", root / kind)), linear_backend="torch")

    with narrow_configs.narrow_timm():
        yield made
    logging.disable(previous)


@pytest.fixture(scope="module")
def outcome(backbone, tmp_path_factory):
    """A function that tries a combination: "" if all operations work, or the sentence of the refusal."""

    @cache
    def tried(name: str, kind: str) -> str:
        of, toy = backbone(kind), task(shots=1)
        before = {key: tensor.clone() for key, tensor in of.state_dict().items()}
        try:
            tuned, history = trained(suited(name), of, ONE_STEP, toy)
        except UserError as refusal:
            assert all(torch.equal(before[key], tensor) for key, tensor in of.state_dict().items())
            return str(refusal)
        assert bool(history) == tuned.method.trains and all(x.isfinite().all() for x in learned(tuned).values())
        serves_new_names(tuned, toy)
        if of.has_vit:
            images = tiny_clips.normal(2, 3, *of.preprocess.size)
            for saliency in (gradcam, maskclip):
                assert saliency(tuned, images, torch.tensor([0, 1])).isfinite().all()
        is_the_same_after_loading(tuned, of, toy, tmp_path_factory.mktemp("saved"))
        return ""

    return tried


def serves_new_names(tuned, toy) -> None:
    names = ("sled dog", "steam_locomotive", *toy.classnames)
    if not tuned.accepts_new_classes:
        with pytest.raises(UserError, match="cannot take other class names"):
            tuned.with_classes(names)
        return
    logits = predict_logits(tuned, toy.dataset, replace(toy.tests["test"], classnames=names))
    assert logits.shape == (len(toy.tests["test"].examples), len(names)) and logits.isfinite().all()


def is_the_same_after_loading(tuned, of, toy, folder) -> None:
    run = config.RunConfig(tuned.method, training=ONE_STEP)
    model_io.save_model(folder / "checkpoint.safetensors", run, tuned)
    restored, again = model_io.load_model(folder, of)
    answers = [predict_logits(one, toy.dataset, toy.tests["test"]) for one in (tuned, restored)]
    assert again == run and answers[0].isfinite().all() and torch.equal(*answers)


@pytest.mark.parametrize("name, kind", [*FEW, *(pytest.param(*one, marks=pytest.mark.slow) for one in ALL)])
def test_works_or_is_refused_in_one_sentence(name, kind, outcome):
    """A chain works if each of its wrappers works around the method, and the method on the backbone."""
    why = outcome(name, kind)
    assert "\n" not in why and (not why or why[0] != "(")
    inner, *outer = name.split("+")
    parts = [outcome(inner, kind), *(outcome(f"{inner}+{wrapper}", "deep_image") for wrapper in outer)]
    assert bool(why) == any(parts), (why, parts)
