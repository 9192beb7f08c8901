"""Local models of other families work with every user-facing operation, or are refused in one sentence."""

import logging
from contextlib import ExitStack
from functools import cache

import pytest

import cliptune as ct
import narrow_configs
from cliptune.errors import UserError
from tiny_tasks import BRIEFLY

#: SigLIP and CLIPA attend to padding; MetaCLIP 2 pools at its own end-of-sequence token; CoCa's text ends in a class
#: token; RoBERTa is a text tower of Hugging Face.
TEXT = ("ViT-B-16-SigLIP", "ViT-L-14-CLIPA", "ViT-L-14-worldwide", "coca_base")
VITS = ("ViT-L-14-worldwide", "coca_base")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A function that returns a narrow local model of an architecture by name."""
    previous, root = logging.root.manager.disable, tmp_path_factory.mktemp("models")
    logging.disable(logging.ERROR)  # open_clip logs that the weights of each model are random
    with ExitStack() as stack:
        stack.enter_context(narrow_configs.narrow_timm())
        yield cache(lambda name: str(narrow_configs.folder(name, root / name)))
    logging.disable(previous)


def options(method: str) -> dict:
    if method == "tcp":
        return {"block": 1}
    return {"depth": 2} if method.startswith(("maple", "restore")) else {}


@pytest.mark.parametrize("name", TEXT)
@pytest.mark.parametrize("method", ["coop", "cocoop", "kgcoop", "tcp", "taskres"])
def test_text_side_is_learned_saved_and_loaded(folder, cutouts, tmp_path, name, method):
    image, more = cutouts / "cat" / "0.png", options(method)
    run = ct.train(method, f"folder:{cutouts}", backbone=folder(name), shots=2, epochs=1, out=tmp_path, **more)
    probabilities = run.predict(image, top_k=3)
    assert ct.load(tmp_path).predict(image, top_k=3) == probabilities
    assert sum(probability for _, probability in probabilities) == pytest.approx(1)
    assert len(run.with_classes(["a red fox", "the sky"]).predict(image, top_k=2)) == 2


@pytest.mark.parametrize("name", VITS)
@pytest.mark.parametrize("method", ["maple+dapt", "restore"])
def test_tokens_in_both_towers(folder, cutouts, tmp_path, name, method):
    more = options(method)
    run = ct.train(method, f"folder:{cutouts}", backbone=folder(name), shots=2, epochs=1, out=tmp_path, **more)
    image = cutouts / "cat" / "0.png"
    assert ct.load(tmp_path).predict(image, top_k=3) == run.predict(image, top_k=3)


@pytest.mark.parametrize(
    "name, method, sentence",
    [
        ("roberta-ViT-B-32", "coop", r"^the text tower of backbone .* \(RobertaModel\) accepts no learned tokens; use"),
        (
            "roberta-ViT-B-32",
            "maple+dapt",
            r"^the text tower of backbone .* \(RobertaModel\) accepts no learned tokens",
        ),
        ("ViT-L-14-CLIPA", "vpt", r"has a VisionTransformer \(pooled by 'avg'\) image tower; visual prompts and Grad"),
        ("ViT-B-16-SigLIP", "maple", "has a TimmModel image tower; visual prompts and Grad-CAM need open_clip's ViT"),
    ],
)
def test_unsupported_methods_are_refused_before_training(folder, cutouts, tmp_path, name, method, sentence):
    with pytest.raises(UserError, match=sentence) as refusal:
        ct.train(method, f"folder:{cutouts}", backbone=folder(name), shots=2, out=tmp_path / "run", **options(method))
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.rglob("*.safetensors")) and not list(tmp_path.rglob("result.json"))


@pytest.mark.parametrize("name, method", [("ViT-B-16-SigLIP", "coop"), ("roberta-ViT-B-32", "clip_adapter")])
def test_commands(folder, cutouts, cli, tmp_path, name, method):
    run = tmp_path / "runs" / method
    training = ["train", method, "--data", f"folder:{cutouts}", "--backbone", folder(name), *BRIEFLY, "--out", run]
    for command in (
        training,
        ["predict", run, cutouts / "cat" / "0.png"],
        ["evaluate", run],
        ["background", run],
        ["report", run.parent],
    ):
        result = cli(*command)
        assert result.code == 0, result.err
    page = (tmp_path / "runs" / "report.html").read_text(encoding="utf-8")
    assert ("Nearest words to the learned context" in page) == (method == "coop")
