"""Names of methods, datasets and backbones in the research code, translated to those of this package."""

from __future__ import annotations

import re
from typing import Any

from cliptune import methods
from cliptune.data import public

#: Method -> names of its trainer.
TRAINERS = {
    "zeroshot": ("ZeroshotCLIP", "ZeroshotCLIP2"),
    "coop": ("CoOp",),
    "cocoop": ("CoCoOp",),
    "kgcoop": ("KgCoOp",),
    "prograd": ("ProGrad",),
    "tcp": ("TCP",),
    "taskres": ("TaskRes",),
    "maple": ("MaPLe",),
    "vpt": ("VPT",),
    "ivlp": ("IVLP",),
    "promptsrc": ("PromptSRC",),
    "mmrl": ("MMRL",),
    "mmrlpp": ("MMRLpp",),
    "restore": ("MaPLe_FSA", "RESTORE"),
    "maple+dapt": ("DAPT",),
    "dpt": ("DPT",),
    "dpl": ("DPL", "TrainerDev"),
    "clip_adapter": ("CLIP_Adapter",),
    "tip_adapter": ("Tip_Adapter",),
    "tip_adapter_f": ("Tip_Adapter_F",),
    "linear_probe": ("LinearProbe",),
}
#: Names of OpenAI's weights, and the prefixes of settings files for them.
OPENAI = {"ViT-B/16": "vit_b16", "ViT-B/32": "vit_b32", "ViT-L/14": "vit_l14", "RN50": "rn50", "RN101": "rn101"}


def method_name(trainer: str, settings: str = "", dapt: bool = False) -> str | None:
    """The method of a trainer; None if it is unknown.

    settings: name of its settings file, which distinguishes language prompting from IVLP, as both have the same
    trainer. dapt: whether the log mentions DAPT, which names its trainer MaPLe.
    """
    found = next(
        (name for name, trainers in TRAINERS.items() if _alphanumeric(trainer) in map(_alphanumeric, trainers)), None
    )
    if found is None and all(part in methods.names() for part in trainer.split("+")):
        found = trainer
    if found == "ivlp" and "language" in settings:
        return "language"
    return "maple+dapt" if found == "maple" and dapt else found


def dataset_name(name: str) -> str:
    """The public dataset with this name, title or folder; the name itself if there is none."""
    for dataset, spec in public.specs().items():
        if _alphanumeric(name) in (_alphanumeric(dataset), _alphanumeric(spec.title)):
            return dataset
    return name


def backbone_config(name: str | None, settings: str = "") -> dict[str, str]:
    """`backbone` and `pretrained` of a configuration, from the name in a log or else that of the settings file."""
    if name is None:
        name = next((full for full, short in OPENAI.items() if re.match(rf"{short}(_|$)", settings)), None)
    if name is None:
        return {}
    return {"backbone": name.replace("/", "-"), "pretrained": "openai"} if name in OPENAI else {"backbone": name}


def is_training_free(method: str) -> bool:
    """Whether `method` is one of this package that has no trainable parameters."""
    return (
        method in methods.names() and not methods.is_wrapper(methods.get(method)) and not methods.build(method).trains
    )


def nested_method(method: str) -> dict[str, Any]:
    """A method as in a configuration: "maple+dapt" is dapt with the base maple."""
    base, plus, outer = method.rpartition("+")
    return {"name": outer, **({"base": nested_method(base)} if plus else {})}


def folder_name(text: str) -> str:
    """`text` with the characters that are safe in folder names."""
    name = re.sub(r"[^\w.+,=()-]+", "_", text).strip("_")
    return name if name.strip(".") else "_"  # "." and ".." name other folders


def _alphanumeric(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
