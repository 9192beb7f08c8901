"""What the research code calls methods, data sets and backbones, and what we call them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cliptune import methods
from cliptune.data import sources

#: Method -> the trainer's name that is written, then others that are read.
TRAINERS = {
    "zeroshot": ("ZeroshotCLIP", "ZeroshotCLIP2"),
    "coop": ("CoOp",),
    "cocoop": ("CoCoOp",),
    "kgcoop": ("KgCoOp",),
    "prograd": ("ProGrad",),
    "maple": ("MaPLe",),
    "vpt": ("VPT",),
    "ivlp": ("IVLP",),
    "promptsrc": ("PromptSRC",),
    "restore": ("MaPLe_FSA", "RESTORE"),
    "maple+dapt": ("DAPT",),
    "dpl": ("DPL", "TrainerDev"),
    "clip_adapter": ("CLIP_Adapter",),
    "tip_adapter": ("Tip_Adapter",),
    "tip_adapter_f": ("Tip_Adapter_F",),
    "linear_probe": ("LinearProbe",),
}
#: OpenAI's weights as the research code calls them, and the start of a settings file for them.
OPENAI = {"ViT-B/16": "vit_b16", "ViT-B/32": "vit_b32", "ViT-L/14": "vit_l14", "RN50": "rn50", "RN101": "rn101"}


def method_name(trainer: str, settings: str = "", about: str = "") -> str | None:
    """Our name for a trainer; None if it is none of ours.

    settings: the name of its settings file, which tells language prompting from IVLP, whose trainer it shares. about:
    what the log says of DAPT, whose trainer is called MaPLe.
    """
    found = next(
        (ours for ours, theirs in TRAINERS.items() if _alphanumeric(trainer) in map(_alphanumeric, theirs)), None
    )
    if found is None and all(part in methods.names() for part in trainer.split("+")):
        found = trainer
    if found == "ivlp" and "language" in settings:
        return "language"
    return "maple+dapt" if found == "maple" and about else found


def trainer_of(method: str) -> str:
    """The trainer's name that is written for a method; ours where it has none."""
    return TRAINERS[method][0] if method in TRAINERS else folder_name(method)


def dataset_name(name: str) -> str:
    """Our source for a data set's folder or title; the name itself if we have none."""
    for ours, card in sources.public_specs().items():
        if _alphanumeric(name) in (_alphanumeric(ours), _alphanumeric(card.title)):
            return ours
    return name


def title_of(data: str) -> str:
    """What the research code calls one of our sources; the name itself if we have no title."""
    card = sources.public_specs().get(data)
    return data if card is None else card.title


def backbone_config(name: str | None, settings: str = "") -> dict[str, str]:
    """`backbone` and `pretrained` of a configuration, from the log's name or else that of the settings file."""
    if name is None:
        name = next((full for full, short in OPENAI.items() if re.match(rf"{short}(_|$)", settings)), None)
    if name is None:
        return {}
    return {"backbone": name.replace("/", "-"), "pretrained": "openai"} if name in OPENAI else {"backbone": name}


def settings_of(backbone: str) -> str:
    """The start of a settings file's name for "<architecture>/<weights>": "vit_b16"."""
    short = {f"{full.replace('/', '-')}/openai": short for full, short in OPENAI.items()}
    return short.get(backbone.replace("-quickgelu", ""), folder_name(backbone).lower())


def released_name(backbone: Mapping[str, str]) -> str:
    """What the research code calls the `backbone` and `pretrained` of a configuration: "ViT-B/16"."""
    return next((name for name in OPENAI if backbone_config(name) == backbone), backbone.get("backbone", ""))


def is_training_free(method: str) -> bool:
    """Whether a method of ours has nothing to learn, as zero-shot has not."""
    return (
        method in methods.names() and not methods.is_wrapper(methods.get(method)) and not methods.build(method).trains
    )


def nested_method(method: str) -> dict[str, Any]:
    """A method in a configuration: "maple+dapt" is dapt with the base maple."""
    base, plus, outer = method.rpartition("+")
    return {"name": outer, **({"base": nested_method(base)} if plus else {})}


def folder_name(text: str) -> str:
    """`text` as a folder's name."""
    name = re.sub(r"[^\w.+,=()-]+", "_", text).strip("_")
    return name if name.strip(".") else "_"  # ".." is a name of another folder


def _alphanumeric(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
