"""Resolve the name of a backbone to its source, without reading or downloading weights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cliptune.backbones.bundled import BUNDLED
from cliptune.backbones.listing import list_architectures, list_backbones, list_pretrained_tags
from cliptune.errors import UserError
from cliptune.registry import closest, nearest
from cliptune.text import listed

#: Suffixes by which a path of weights is recognised, whether the file exists or not.
WEIGHTS_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors", ".ckpt", ".npz", ".th", ".onnx")
OPEN_CLIP_CONFIG = "open_clip_config.json"
#: The value of `pretrained` for random weights.
RANDOM = "random"
#: Number of tags listed in a message.
MAX_LISTED_TAGS = 6
#: OpenAI's models on Hugging Face, in transformers' format -> their names in open_clip.
OPENAI_HUB_COPIES = {
    "openai/clip-vit-base-patch32": "ViT-B-32",
    "openai/clip-vit-base-patch16": "ViT-B-16",
    "openai/clip-vit-large-patch14": "ViT-L-14",
    "openai/clip-vit-large-patch14-336": "ViT-L-14-336",
}


@dataclass(frozen=True)
class BackboneSource:
    """The source of a backbone.

    kind: "bundled"; "file" or "folder" with its path in `name`; "hub" with ORG/REPO in `name`; or "architecture" with
    open_clip's name in `name` and its weights in `pretrained`: a tag of open_clip, the path of a file, or "random".
    note: a message for the user if the name is spelled differently in open_clip, or "".
    """

    kind: Literal["bundled", "file", "folder", "hub", "architecture"]
    name: str
    pretrained: str = ""
    note: str = ""

    @property
    def label(self) -> str:
        """The name of the backbone in messages and records."""
        prefix = {"folder": "local-dir:", "hub": "hf-hub:"}.get(self.kind, "")
        return f"{prefix}{self.name}" + (f"/{self.pretrained}" if self.pretrained else "")


def resolve_backbone(name: str, pretrained: str = "") -> BackboneSource:
    """Resolve `name` and `pretrained`.

    Other spellings of open_clip's names are accepted, such as OpenAI's "ViT-B/16" and "ViT-L/14@336px". Raises
    `UserError` with the nearest names for an unknown name, for an architecture without weights, and for `pretrained` in
    addition to a name that includes weights.
    """
    found, implied = match_architecture(name)
    pretrained = pretrained or implied
    path = Path(name.removeprefix("local-dir:")).expanduser()
    folder = bool(name) and path.is_dir() and (found is None or (path / OPEN_CLIP_CONFIG).is_file())
    if name in BUNDLED:
        source = BackboneSource("bundled", name)
    elif name.startswith("hf-hub:"):
        source = BackboneSource("hub", name.removeprefix("hf-hub:"))
    elif folder:
        source = BackboneSource("folder", str(path))
    elif path.suffix.lower() in WEIGHTS_SUFFIXES or path.is_file():
        source = BackboneSource("file", str(path))
    elif found is not None:
        filled = f" with --pretrained {implied}" if implied else ""
        note = "" if found == name else f"{name} is called {found}{filled} in open_clip; using that"
        return BackboneSource("architecture", found, _weights(found, pretrained), note)
    elif re.fullmatch(r"\w[\w.-]*/[\w.-]+", name) and not re.match(r"(?i)(vit\b|rn\d)", name):
        source = BackboneSource("hub", name)
    elif "/" in name and not re.match(r"(?i)(vit\b|rn\d)", name):
        raise UserError(f"there is no backbone at {name!r}: no such file or folder")
    else:
        hint = ", ".join(_closest_backbones(name)) or ", ".join(BUNDLED)
        raise UserError(f"unknown backbone {name!r}; nearest: {hint} (cliptune list backbones shows all)")
    if pretrained:
        own = f"the bundled {name} backbone" if source.kind == "bundled" else f"the {source.kind} {source.name}"
        raise UserError(
            f"--pretrained {pretrained} is for the name of an architecture, but {own} includes its weights: use "
            f"--backbone ViT-B-16 --pretrained {pretrained}, or leave --pretrained out"
        )
    return source


def _weights(model: str, pretrained: str) -> str:
    """`pretrained` as a tag, an expanded path or "random". Raises `UserError` if it is none of them."""
    known = list_pretrained_tags(model)
    path = Path(pretrained).expanduser()
    if not pretrained:
        tags = f"one of {listed(known, MAX_LISTED_TAGS)}, or a file" if known else "a file (no weights are published)"
        raise UserError(
            f"backbone {model} needs weights: add --pretrained with {tags}, or random for untrained weights"
        )
    if pretrained == RANDOM or pretrained in known:
        return pretrained
    if path.exists():
        return str(path)
    cleaned = pretrained.lower().replace("-", "_")
    if cleaned in known:
        return cleaned
    hint = nearest(pretrained, known, MAX_LISTED_TAGS) if known else "none are published"
    raise UserError(f"unknown weights {pretrained!r} for {model}; {hint}, or a file's path")


def match_architecture(name: str) -> tuple[str | None, str]:
    """open_clip's name of an architecture, and the tag that `name` implies or "".

    Case, spaces and punctuation are ignored. The name is None for an unknown architecture.
    """
    models = list_architectures()
    if name in models:
        return name, ""
    if name in OPENAI_HUB_COPIES:
        return OPENAI_HUB_COPIES[name], "openai"
    plain = {_letters(model): model for model in models}
    return plain.get(_letters(name.replace("@", "-").removesuffix("px"))), ""


def _letters(name: str) -> str:
    return re.sub(r"[-_/ ]", "", name.lower())


def _closest_backbones(name: str) -> list[str]:
    plain = {_letters(known): known for known in list_backbones()}
    return [plain[found] for found in closest(_letters(name), plain)]
