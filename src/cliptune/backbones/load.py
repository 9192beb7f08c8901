"""A name, a hub id, a local file or folder, or "tiny" -> Backbone."""

from __future__ import annotations

import difflib
import io
import logging
import warnings
import zipfile
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any, cast

import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from safetensors import SafetensorError
from torch import Tensor

from cliptune.backbones import zoo
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.tokenizer import ClipTokenizer, tokenizer_of
from cliptune.backbones.zoo import WEIGHTS, names, tags
from cliptune.errors import UserError

__all__ = ["blank", "from_state_dict", "load", "names", "read_weights", "tags"]


def load(
    name: str = "tiny", pretrained: str = "", *, quick_gelu: bool | None = None, fast_linear: bool | None = None
) -> Backbone:
    """Load a frozen CLIP in float32.

    name: "tiny" (bundled), an open_clip architecture ("ViT-B-16"), "hf-hub:ORG/REPO" or "ORG/REPO", a folder with
    `open_clip_config.json`, or a weights file whose architecture is read from its tensors' shapes.
    pretrained: for an architecture, a tag ("openai", "laion2b_s34b_b88k") or a weights file; "" leaves random weights.
    quick_gelu: OpenAI's activation; None follows the tag, the file's kind, or the configuration.
    Raises `UserError` with the nearest names for an unknown one, and when weights cannot be had.
    """
    path = Path(name).expanduser()
    if name == "tiny":
        return _tiny(fast_linear)
    if path.suffix in WEIGHTS or path.is_file():
        return from_state_dict(read_weights(path), str(path), quick_gelu=quick_gelu, fast_linear=fast_linear)
    if path.is_dir():
        name = f"local-dir:{path}"
    elif "/" in name and ":" not in name:
        name = f"hf-hub:{name}"
    zoo.check(name)
    return _from_open_clip(name, pretrained, quick_gelu, fast_linear)


def blank(name: str) -> Backbone:
    """A backbone of shapes without weights: made at once, to ask for widths and to build learners on."""
    with torch.device("meta"):
        model: Any = open_clip.model.CLIP(**(open_clip.get_model_config(name) or {}))
    # Words are looked up where learners start from them; memory is taken only by what is.
    model.token_embedding = torch.nn.Embedding.from_pretrained(torch.zeros(model.token_embedding.weight.shape))
    model.logit_scale = torch.nn.Parameter(torch.zeros([]))
    return Backbone(name, model, ClipTokenizer(model.context_length), fast_linear=False)


def from_state_dict(
    state: dict[str, Tensor], name: str, *, quick_gelu: bool | None = None, fast_linear: bool | None = None
) -> Backbone:
    """A backbone from OpenAI-named weights, its architecture read from their shapes (heads are 64 wide, as OpenAI's
    are).

    Unlike open_clip's builder for OpenAI files, no weight is rounded to half precision on the way.
    """
    try:
        config = _config(state)
    except (KeyError, IndexError, StopIteration) as missing:
        raise UserError(f"{name} does not hold a CLIP state dict in OpenAI's naming (no {missing})") from None
    from_openai = "input_resolution" in state
    state = {k: v.float() for k, v in state.items() if k not in ("input_resolution", "context_length", "vocab_size")}
    model = open_clip.model.CLIP(**config, quick_gelu=from_openai if quick_gelu is None else quick_gelu)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{name} is not a complete CLIP state dict: {str(error).splitlines()[-1].strip()}") from None
    return _finish(name, model, ClipTokenizer(config["text_cfg"]["context_length"]), fast_linear)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a weights file, without running code from it. Raises `UserError` if it is missing, broken or
    unsafe."""
    if not path.is_file():
        raise UserError(f"no weights file at {path}; check the path")
    try:
        if path.suffix != ".safetensors" and _is_torchscript(path):
            with warnings.catch_warnings():  # torch announces the end of TorchScript, not of these files
                warnings.simplefilter("ignore")
                state = torch.jit.load(str(path), map_location="cpu").state_dict()
            return {**state, "input_resolution": torch.tensor(0)}
        return cast(dict[str, Tensor], open_clip.factory.load_state_dict(str(path), weights_only=True))
    except (RuntimeError, SafetensorError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read as weights: {str(error).splitlines()[0]}") from None
    except Exception as error:  # the unpickler's own errors have no common class
        raise UserError(f"{path} is not a plain tensor file ({type(error).__name__}); save it as safetensors") from None


def _tiny(fast_linear: bool | None) -> Backbone:
    from cliptune.backbones import tiny

    config = tiny.config()
    model = open_clip.model.CLIP(**config)
    model.load_state_dict(tiny.state_dict())
    tokenizer = ClipTokenizer(config["text_cfg"]["context_length"])
    return _finish("tiny", model, tokenizer, fast_linear, tiny.untrained_tokens)


def _from_open_clip(name: str, pretrained: str, quick_gelu: bool | None, fast_linear: bool | None) -> Backbone:
    known = tags(name)
    is_file = bool(pretrained) and Path(pretrained).expanduser().is_file()
    if pretrained and not is_file and pretrained not in known:
        close = difflib.get_close_matches(pretrained, known, n=3, cutoff=0.3)
        raise UserError(
            f"unknown weights {pretrained!r} for {name}; nearest: {', '.join(close or known) or 'none'}, or a "
            f"file's path"
        )
    if is_file:
        pretrained = str(Path(pretrained).expanduser())
        read_weights(Path(pretrained))  # a broken file gets its sentence here
    elif pretrained and quick_gelu is None:
        # Some architectures and tags disagree on the activation; the tag knows what its weights were trained with.
        quick_gelu = bool(open_clip.get_pretrained_cfg(name, pretrained).get("quick_gelu", False)) or None
    try:
        with _quiet():
            tokenizer = tokenizer_of(name)  # before gigabytes of weights are fetched in vain
            model = open_clip.create_model(
                name,
                pretrained or None,
                precision="fp32",
                force_quick_gelu=bool(quick_gelu),
                require_pretrained=bool(pretrained),
            )
    except UserError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"backbone {name} {pretrained}".rstrip() + f" could not be loaded: {reason[:300]}") from None
    return _finish(name if not pretrained else f"{name}/{pretrained}", model, tokenizer, fast_linear)


def _finish(name: str, model: Any, tokenizer: Any, fast_linear: bool | None, untrained: Any = None) -> Backbone:
    if getattr(model.visual, "image_mean", None) is None:
        model.visual.image_mean, model.visual.image_std = OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
    return Backbone(name, model, tokenizer, fast_linear, untrained)


def _config(state: dict[str, Tensor]) -> dict:
    """open_clip's model configuration for OpenAI-named weights, from their shapes."""
    blocks = {k.split(".")[2] for k in state if k.startswith("transformer.resblocks.")}
    width = state["ln_final.weight"].shape[0]
    text = {
        "context_length": state["positional_embedding"].shape[0],
        "vocab_size": state["token_embedding.weight"].shape[0],
        "width": width,
        "heads": width // 64,
        "layers": len(blocks),
    }
    stem = state["visual.conv1.weight"].shape
    if "visual.proj" in state:
        layers = len({k.split(".")[3] for k in state if k.startswith("visual.transformer.resblocks.")})
        grid = round((state["visual.positional_embedding"].shape[0] - 1) ** 0.5)
        vision = {"layers": layers, "width": stem[0], "patch_size": stem[-1], "image_size": stem[-1] * grid}
    else:
        layers = tuple(len({k.split(".")[2] for k in state if k.startswith(f"visual.layer{i}.")}) for i in (1, 2, 3, 4))
        grid = round((state["visual.attnpool.positional_embedding"].shape[0] - 1) ** 0.5)
        # The stem has half the width; attention-pool heads are 64 wide at 32 times the width.
        vision = {"layers": layers, "width": 2 * stem[0], "patch_size": None, "image_size": 32 * grid}
    return {"embed_dim": state["text_projection"].shape[1], "vision_cfg": vision, "text_cfg": text}


def _is_torchscript(path: Path) -> bool:
    """OpenAI published its models as TorchScript archives, which hold a `constants.pkl` and code."""
    return zipfile.is_zipfile(path) and any(n.endswith("constants.pkl") for n in zipfile.ZipFile(path).namelist())


@contextmanager
def _quiet():
    """open_clip warns through the root logger and progress bars write to stderr; the caller speaks for itself."""
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(previous)
