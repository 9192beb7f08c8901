"""Model cards: what they say, and that no name in them becomes markup."""

import dataclasses

import pytest
import yaml

from cliptune import methods, presets
from cliptune.config import RunConfig
from cliptune.push import base_weights as base_weights_module
from cliptune.push.base_weights import BaseWeights, base_weights
from cliptune.push.card import CardFacts, describe_data, model_card
from cliptune.types import Result

BASE = BaseWeights("ViT-B-16 openai", "timm/vit.openai", "MIT")


def facts(**more) -> CardFacts:
    run = presets.get("maple+dapt", data="folder:/home/alice/my|photos", backbone="tiny")
    result = Result(
        "few_shot/x/16/1",
        "maple+dapt",
        run.data,
        1,
        {"base": 81.25, "novel": 70.0, "base@5": 60.0},
        {},
        cost={"parameters": 3555072.0},
        provenance={"test_images": {"base": 64, "novel": 60}, "transductive": True, "versions": {"cliptune": "9.9"}},
    )
    values = {"repository": "alice/pets", "revision": "", "run": run, "classnames": ("cat", "dog"), "result": result}
    return CardFacts(**{**values, "base": BASE, "kib": 12.3, **more})


def front_matter(card: str) -> dict:
    assert card.startswith("---\n")
    return yaml.safe_load(card.split("---\n")[1])


def test_what_a_card_says():
    card = model_card(facts(license="mit"))
    front = front_matter(card)
    assert front["library_name"] == "cliptune" and front["license"] == "mit"
    assert front["base_model"] == "timm/vit.openai" and {"maple", "dapt"} <= set(front["tags"])
    (found,) = front["model-index"]
    assert [m["value"] for m in found["results"][0]["metrics"]] == [81.25, 70.0]
    assert "| base | 64 | 81.25 |\n| novel | 60 | 70.00 |" in card and "base@5" not in card
    assert "Transductive: training saw unlabelled images" in card and "cliptune 9.9" in card
    assert "https://arxiv.org/abs/2210.03117" in card and "https://arxiv.org/abs/2508.00395" in card
    assert 'ct.load("hf:alice/pets")' in card and "3,555,072 trained parameters; 12 KiB" in card
    assert "Licence of its weights, [timm/vit.openai](" in card and "): MIT." in card
    assert "/home/alice" not in card and "my\\|photos" in card


def test_without_a_record_or_a_licence():
    card = model_card(facts(result=None))
    assert "No accuracy was recorded" in card and front_matter(card).keys().isdisjoint({"license", "model-index"})


def test_names_are_not_markup():
    names = ("<img src=x onerror=alert(1)>", "a|b", "`code`", "[link](http://x)", "R&D")
    card = model_card(facts(classnames=names))
    assert "<img" not in card and "&lt;img" in card and "a\\|b" in card and "\\[link\\](" in card and "R&amp;D" in card


def test_many_classes_are_cut():
    card = model_card(facts(classnames=tuple(f"class {i}" for i in range(1000))))
    assert "and 940 more. All 1000 are in `classes.txt`" in card


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("oxford_pets", "the dataset oxford\\_pets"),
        ("hub:alice/pets,config=x", "the dataset alice/pets on Hugging Face"),
        ("folder:/home/alice/photos", "the author's own images (folder photos)"),
        ("csv:~/a/list.csv", "the author's own images (csv list.csv)"),
    ],
)
def test_data_in_words(data, words):
    assert describe_data(data) == words


def test_base_weights(monkeypatch, tmp_path):
    monkeypatch.setattr(base_weights_module, "_licence", lambda repository: f"licence of {repository}")
    run = RunConfig(methods.get("coop")(), backbone="tiny")

    def of(backbone, pretrained=""):
        return base_weights(dataclasses.replace(run, backbone=backbone, pretrained=pretrained))

    assert of("tiny").licence.startswith("Apache-2.0") and "non-commercial" in of("photo").licence
    openai = of("ViT-B-16", "openai")
    assert openai.repository == "timm/vit_base_patch16_clip_224.openai" and openai.licence.startswith("MIT")
    laion = of("ViT-B-32", "laion2b_s34b_b79k")
    assert laion.licence == f"licence of {laion.repository}" and laion.repository.startswith("laion/")
    assert of("alice/clip").licence == "licence of alice/clip" and of("alice/clip").public
    assert of("ViT-B-32", "random").licence == "none, as they are random"
    for local in (of(str(tmp_path / "gone" / "clip.pt")), of("ViT-B-32", str(tmp_path / "w.safetensors"))):
        assert not local.public and "/" not in local.name and local.licence.startswith("unknown")
    card = model_card(facts(base=local))
    assert "The backbone is not published" in card and "base_model" not in front_matter(card)
