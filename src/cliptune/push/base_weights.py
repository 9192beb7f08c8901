"""The frozen weights that a run was tuned on: where they are published, and under which licence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cliptune.backbones.bundled import BUNDLED
from cliptune.backbones.resolve import RANDOM, resolve_backbone
from cliptune.config import RunConfig
from cliptune.errors import UserError
from cliptune.hub.client import client, endpoint, hub_errors

#: Licences of the weights in the package.
BUNDLED_LICENCES = {
    "tiny": "Apache-2.0, as cliptune, which contains them",
    "photo": "Apache-2.0, as cliptune, which contains them; they were trained on photographs that include ImageNet's, "
    "which are provided for non-commercial research, so check before commercial use",
}
#: Licence of a tag of open_clip whose page on the hub may not state it.
TAG_LICENCES = {"openai": "MIT (https://github.com/openai/CLIP)"}


@dataclass(frozen=True)
class BaseWeights:
    """The weights of a backbone.

    Args:
        name: Their name, as for `load_backbone`.
        repository: USER/MODEL on the hub, "" if they are not published there.
        licence: Their licence in words.
        public: Whether others can load them by their name.
    """

    name: str
    repository: str
    licence: str
    public: bool = True


def base_weights(run: RunConfig) -> BaseWeights:
    """The backbone of a run. Its licence is looked up on the hub, unless it is known or the hub cannot be reached."""
    if run.backbone in BUNDLED:
        return BaseWeights(run.backbone, "", BUNDLED_LICENCES[run.backbone])
    try:
        source = resolve_backbone(run.backbone, run.pretrained)
    except UserError:  # a file that is not here any more
        source = None
    name = f"{run.backbone} {run.pretrained}".strip()
    if source is not None and source.kind == "hub":
        return BaseWeights(source.label, source.name, _licence(source.name))
    if source is not None and source.kind == "architecture":
        from open_clip import get_pretrained_cfg

        if source.pretrained == RANDOM:
            return BaseWeights(name, "", "none, as they are random")
        config = get_pretrained_cfg(source.name, source.pretrained)
        repository = "/".join(config.get("hf_hub", "").split("/")[:2])
        if config:
            licence = TAG_LICENCES.get(source.pretrained) or (_licence(repository) if repository else "unknown")
            return BaseWeights(f"{source.name} {source.pretrained}", repository, licence)
    local = Path(run.pretrained or run.backbone).name  # the rest of the path is of no use to others
    return BaseWeights(local, "", "unknown, as they are a local file", public=False)


def _licence(repository: str) -> str:
    page = f"{endpoint()}/{repository}"
    try:
        with hub_errors(repository):
            tags = client().model_info(repository).tags or ()
    except UserError:
        return f"see {page}"
    stated = next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), "")
    return f"{stated} ({page})" if stated else f"none stated at {page}"
