"""Presets: every file is a valid run, and how they are combined with methods, protocols and backbones."""

from pathlib import Path

import pytest
import yaml

from cliptune import methods, presets, protocols
from cliptune.backbones.bundled import BUNDLED
from cliptune.config import RunConfig, nested_methods
from cliptune.engine.config import TrainConfig
from cliptune.errors import UserError

FILES = sorted(Path(presets.__file__).parent.glob("*/*.yaml"))
LARGE = {"backbone": "ViT-B-16", "pretrained": "openai"}
#: Files that belong to no protocol and override a protocol's preset on request.
ON_REQUEST = ("per_dataset",)
PROTOCOLS = set(protocols.names())
#: Methods without settings, or with the same settings under every protocol.
PLAIN = ("zeroshot", "cupl", "tip_adapter", "copypaste")


def published(name, protocol, **more):
    return presets.get(name, protocol=protocol, **{**LARGE, **more})


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_every_file_names_its_source_and_is_a_valid_configuration(file):
    assert file.parent.name in methods.names() and file.stem in [*PROTOCOLS, *BUNDLED, *ON_REQUEST]
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# ") and set(yaml.safe_load(text)) <= {"method", "training", "around"}
    name = file.parent.name
    names = [f"coop+{name}", f"maple+{name}"] if name in methods.wrapper_names() else [name]
    for name in names:
        where = {"preset" if file.stem in ON_REQUEST else "protocol": file.stem}
        run = presets.get(name, **({"backbone": file.stem} if file.stem in BUNDLED else {**LARGE, **where}))
        assert isinstance(run, RunConfig) and methods.name_of(run.method) == name
        assert run.training != TrainConfig() or run.method != methods.build(name), "the file changes nothing"


@pytest.mark.parametrize("name", [n for n in methods.names() if n not in PLAIN])
def test_every_protocol_has_settings(name):
    pool = methods.get(name).pool is True  # of a wrapper, it is that of the wrapped method
    assert set(presets.files(name)) >= {p for p in PROTOCOLS if not pool or protocols.has_option(p, "pool")}


def test_no_preset_and_an_unknown_preset():
    assert presets.get("maple+dapt", "none", shots=4) == RunConfig(methods.build("maple+dapt"), shots=4)
    message = r"coop\+dapt has no preset 'per_dataset'; there are auto, none, base_to_novel, cross_dataset"
    with pytest.raises(UserError, match=message):
        presets.get("coop+dapt", "per_dataset")


def test_a_wrappers_preset_overrides_training_but_not_the_methods():
    alone, around = published("coop", "few_shot"), published("coop+dapt", "few_shot")
    assert around.method.base == alone.method
    assert around.training == published("maple+dapt", "few_shot").training != alone.training


def test_a_wrapper_may_have_other_settings_around_a_method():
    around = {name: published(f"{name}+dept", "base_to_novel") for name in ("coop", "cocoop", "kgcoop")}
    assert [(run.training.lr, run.training.batch_size) for run in around.values()] == [
        (0.0035, 4),
        (0.002, 1),
        (0.0035, 4),
    ]
    assert around["coop"].method.base.words == "" and around["kgcoop"].method.base.weight == 2
    pets = published("kgcoop+dept+dapt", "base_to_novel", data="oxford_pets")
    assert pets.method.base.base.template == "a photo of a {}, a type of pet."
    assert published("coop+dapt", "base_to_novel").method.base == published("coop", "base_to_novel").method


@pytest.mark.parametrize("name", [n for n in methods.names() if n not in methods.wrapper_names()])
def test_the_tiny_backbone_has_its_own_settings(name):
    for protocol in protocols.names():
        run = presets.get(name, protocol=protocol)
        assert run == presets.get(name, protocol=protocol, backbone="tiny")
        assert all(getattr(layer, "depth", 1) <= 6 for layer in nested_methods(run.method)), (
            "deeper than the tiny towers"
        )


def test_a_protocol_may_be_spelt_with_a_dash():
    assert published("maple", "base-to-novel").training == published("maple", "base_to_novel").training


def test_a_method_without_a_preset_has_its_defaults():
    assert published("zeroshot", "few_shot") == RunConfig(methods.build("zeroshot"), **LARGE)
    assert presets.get("cliptune.methods.coop:CoOp") == RunConfig(methods.build("coop"))


def test_fields_of_the_run_are_passed_through():
    run = presets.get("coop", data="folder:x", shots=4, seed=9, backbone="tiny")
    assert (run.data, run.shots, run.seed, run.backbone) == ("folder:x", 4, 9, "tiny")


@pytest.mark.parametrize("name", ["coop+dapt", "maple+dapt"])
def test_dapts_weights_were_chosen_for_the_drawings_only(name):
    weights = {backbone: presets.get(name, backbone=backbone).method.foreground for backbone in ("tiny", "photo")}
    assert weights == {"tiny": 1.0, "photo": 0.1} and published(name, "few_shot").method.foreground == 0.1


def test_photographs_get_a_smallest_number_of_steps():
    assert presets.get("coop", backbone="photo").training.min_steps == 100
    assert presets.get("coop", backbone="tiny").training.min_steps == 0
    assert presets.get("coop", backbone="photo", preset="none").training.min_steps == 0
    by_step = presets.get("clip_lora", backbone="photo").training
    assert not (by_step.min_steps and (by_step.steps or by_step.steps_per_shot))


def test_an_unknown_method():
    with pytest.raises(UserError, match="unknown method 'mapel'; nearest: maple"):
        presets.get("mapel+dapt")
