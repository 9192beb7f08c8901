"""A name, a hub id, a local file or folder, or "tiny" -> Backbone."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Mapping
from contextlib import contextmanager, redirect_stderr
from functools import lru_cache
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import set_model_preprocess_cfg
from open_clip.utils import to_2tuple
from torch import Tensor

from cliptune.backbones import architecture, huggingface, weights_file
from cliptune.backbones.architecture import Architecture
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.listing import list_backbones, list_pretrained_tags
from cliptune.backbones.preprocess import complete_preprocess_cfg, published_preprocess_cfg
from cliptune.backbones.resolve import OPEN_CLIP_CONFIG, RANDOM, BackboneSource, resolve_backbone
from cliptune.backbones.state_dict import load_state_dict
from cliptune.backbones.tokenizer import ClipTokenizer, load_tokenizer
from cliptune.backbones.weights_file import Weights
from cliptune.errors import UserError
from cliptune.types import LinearBackend

__all__ = [
    "cached_backbone",
    "shape_only_backbone",
    "backbone_from_state_dict",
    "load_backbone",
    "list_backbones",
    "list_pretrained_tags",
]

#: Seed of weights that were never trained, so that a run on them can be repeated and its checkpoint used again.
RANDOM_WEIGHTS_SEED = 0


def load_backbone(
    name: str = "tiny", pretrained: str = "", *, quick_gelu: bool | None = None, linear_backend: LinearBackend = "auto"
) -> Backbone:
    """Load a frozen CLIP in float32.

    Args:
        name: "tiny" (bundled), an open_clip architecture ("ViT-B-16", also as OpenAI spells it), "hf-hub:ORG/REPO" or
            "ORG/REPO", a folder with `open_clip_config.json` or transformers' `config.json` of a CLIP, or a weights
            file, whose architecture is found by the shapes of its tensors.
        pretrained: For an architecture, a tag ("openai", "laion2b_s34b_b88k"), a weights file, or "random" for weights
            that were never trained, the same each time.
        quick_gelu: Whether to compute with OpenAI's activation; None follows the tag, the file's kind or the
            configuration, and warns where none of these says.
        linear_backend: What computes frozen linear layers on the CPU: "torch", "onednn" (packed weights), or "auto",
            which chooses by the processor. Results differ by rounding only.

    Raises:
        UserError: For an unknown name, an architecture without `pretrained`, and weights that are not available or do
            not fit.
    """
    source = resolve_backbone(name, pretrained)
    if source.note:
        warnings.warn(source.note, stacklevel=2)
    if source.kind == "tiny":
        if quick_gelu is not None:
            raise UserError("the activation of the bundled tiny backbone is known; leave --activation out")
        return _tiny(linear_backend)
    path = Path(source.name)
    if source.kind == "file":
        return _of_file(weights_file.read_weights(path), source, quick_gelu, linear_backend)
    if source.kind == "folder":
        return _of_folder(path, source, quick_gelu, linear_backend)
    if source.pretrained and source.pretrained not in (RANDOM, *list_pretrained_tags(source.name)):
        held, made = weights_file.read_weights(Path(source.pretrained)), architecture.named_architecture(source.name)
        model = _filled(made, held, _activation(made, held, quick_gelu))
        set_model_preprocess_cfg(
            model, complete_preprocess_cfg(model, published_preprocess_cfg(source.name, held.path))
        )
        return Backbone(source.label, model, load_tokenizer(source.name), linear_backend)
    return _from_open_clip(source, quick_gelu, linear_backend)


def cached_backbone(
    name: str, pretrained: str = "", activation: str = "auto", linear_backend: LinearBackend = "auto"
) -> Backbone:
    """`load` of a run's fields; the backbone is kept for all runs of a sweep, as nothing ever changes it."""
    return _cached(name, pretrained, {"auto": None, "gelu": False, "quick_gelu": True}[activation], linear_backend)


@lru_cache(maxsize=2)
def _cached(name: str, pretrained: str, quick_gelu: bool | None, linear_backend: LinearBackend) -> Backbone:
    return load_backbone(name, pretrained, quick_gelu=quick_gelu, linear_backend=linear_backend)


def shape_only_backbone(name: str) -> Backbone:
    """A backbone of shapes without weights: made at once, to ask for widths and to build learners on."""
    with torch.device("meta"):
        model: Any = open_clip.model.CLIP(**(open_clip.get_model_config(name) or {}))
    # Words are looked up where learners start from them; memory is taken only by what is.
    model.token_embedding = torch.nn.Embedding.from_pretrained(torch.zeros(model.token_embedding.weight.shape))
    model.logit_scale = torch.nn.Parameter(torch.zeros([]))
    return Backbone(name, model, ClipTokenizer(model.context_length), linear_backend="torch")


def backbone_from_state_dict(
    state: Mapping[str, Tensor], name: str, *, quick_gelu: bool | None = None, linear_backend: LinearBackend = "auto"
) -> Backbone:
    """A backbone from the tensors of a CLIP, whose architecture is found by their names and shapes.

    Unlike open_clip's builder for OpenAI files, no weight is rounded to half precision on the way.
    """
    held = Weights.of(state, name)
    return _of_file(held, BackboneSource("file", name), quick_gelu, linear_backend)


def _tiny(linear_backend: LinearBackend) -> Backbone:
    from cliptune.backbones import tiny

    config = tiny.config()
    model = open_clip.model.CLIP(**config)
    model.load_state_dict(tiny.state_dict())
    set_model_preprocess_cfg(model, complete_preprocess_cfg(model, {}))
    tokenizer = ClipTokenizer(config["text_cfg"]["context_length"])
    return Backbone("tiny", model, tokenizer, linear_backend, tiny.untrained_tokens)


def _of_file(held: Weights, source: BackboneSource, quick_gelu: bool | None, linear_backend: LinearBackend) -> Backbone:
    """A weights file without a name for its architecture."""
    made = architecture.infer_architecture(held.state, held.path)
    if made.guessed and not held.quick_gelu:  # of OpenAI's own files it is no guess
        warnings.warn(
            f"{held.path} does not say how it is built, and open_clip knows no architecture of its shapes; taken: "
            f"{made.guessed}; if that is wrong, say --backbone ARCHITECTURE --pretrained {held.path}",
            stacklevel=3,
        )
    model = _filled(made, held, _activation(made, held, quick_gelu))
    set_model_preprocess_cfg(model, complete_preprocess_cfg(model, published_preprocess_cfg(made.name, held.path)))
    text = made.config["text_cfg"]
    tokenizer = load_tokenizer(made.name) if made.name else ClipTokenizer(text["context_length"])
    tokenizer.context_length = text["context_length"]
    return Backbone(source.label, model, tokenizer, linear_backend)


def _of_folder(path: Path, source: BackboneSource, quick_gelu: bool | None, linear_backend: LinearBackend) -> Backbone:
    """A folder with a configuration beside the weights."""
    if not (path / OPEN_CLIP_CONFIG).is_file():
        if not huggingface.is_clip_folder(path):
            raise UserError(weights_file.describe_unusable_folder(path))
        return _of_transformers(path, source, quick_gelu, linear_backend)
    said = huggingface.read_json_object(path / OPEN_CLIP_CONFIG)
    missing = [key for key in ("embed_dim", "vision_cfg", "text_cfg") if key not in said.get("model_cfg", {})]
    if missing:
        raise UserError(
            f"{path / OPEN_CLIP_CONFIG} has no {', '.join(missing)} in its model_cfg; copy the model's own file"
        )
    held, tokenizer = weights_file.read_folder_weights(path, OPEN_CLIP_CONFIG), load_tokenizer(source.label)
    model = _filled(Architecture("", said["model_cfg"]), held, quick_gelu)
    set_model_preprocess_cfg(model, complete_preprocess_cfg(model, said.get("preprocess_cfg") or {}))
    return Backbone(source.label, model, tokenizer, linear_backend)


def _of_transformers(
    path: Path, source: BackboneSource, quick_gelu: bool | None, linear_backend: LinearBackend
) -> Backbone:
    """A folder of transformers' `CLIPModel`, which says all that its tensors do not."""
    held, said = weights_file.read_folder_weights(path, huggingface.CONFIG_FILE), huggingface.read_clip_settings(path)
    try:
        config = architecture.config_from_shapes(held.state, said.heads)
    except (KeyError, ValueError) as error:
        raise UserError(f"{path / huggingface.CONFIG_FILE} does not fit {held.path}: {error}") from None
    if config["text_cfg"]["vocab_size"] != architecture.VOCAB_SIZE:
        raise UserError(
            f"{path} has another vocabulary than CLIP's; put an {OPEN_CLIP_CONFIG} with its hf_tokenizer_name there"
        )
    for tower, eps in zip(("text_cfg", "vision_cfg"), said.eps, strict=True):
        config[tower]["norm_kwargs"] = {"eps": eps}
    model = _filled(Architecture("", config), held, said.quick_gelu if quick_gelu is None else quick_gelu)
    preprocess = complete_preprocess_cfg(model, said.preprocess)
    if to_2tuple(said.preprocess["size"]) != to_2tuple(preprocess["size"]):
        raise UserError(
            f"{path / huggingface.PREPROCESSOR_FILE} has another image size than {held.path}; restore both files"
        )
    set_model_preprocess_cfg(model, preprocess)
    return Backbone(source.label, model, ClipTokenizer(config["text_cfg"]["context_length"]), linear_backend)


def _from_open_clip(source: BackboneSource, quick_gelu: bool | None, linear_backend: LinearBackend) -> Backbone:
    """A model that open_clip makes and fills itself: of the hub, with the weights of a tag, or with random ones."""
    name, random = source.label.removesuffix(f"/{source.pretrained}"), source.pretrained == RANDOM
    if random:
        warnings.warn(
            f"{name} has random weights (of seed {RANDOM_WEIGHTS_SEED}), which know nothing: this is for trying code",
            stacklevel=3,
        )
    elif source.pretrained and quick_gelu is None:
        # Some architectures and tags disagree on the activation; the tag knows what its weights were trained with.
        quick_gelu = open_clip.get_pretrained_cfg(name, source.pretrained).get("quick_gelu") or None
    activation: dict[str, Any] = {} if quick_gelu is None else {"quick_gelu": quick_gelu}
    try:
        with _quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(RANDOM_WEIGHTS_SEED)
            tokenizer = load_tokenizer(name)
            model = open_clip.create_model(
                name,
                None if random else source.pretrained or None,
                precision="fp32",
                load_weights=not random,
                require_pretrained=not random,
                pretrained_text=False,
                **activation,
            )
    except UserError:
        raise
    except Exception as error:
        reason = next((line.strip(" .:") for line in str(error).splitlines() if line.strip()), type(error).__name__)
        called = f"{name} {source.pretrained}".rstrip()
        raise UserError(f"backbone {called} could not be loaded: {reason[:300]}") from None
    backbone = Backbone(source.label, model, tokenizer, linear_backend)
    _ = backbone.preprocess  # a configuration that is none gets its sentence here
    return backbone


def _filled(made: Architecture, held: Weights, quick_gelu: bool | None) -> Any:
    """The model of an architecture with the weights of a file."""
    try:
        with _quiet():
            model = made.build(quick_gelu)
    except Exception as error:  # of a configuration that a user wrote; open_clip checks little of it
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise UserError(f"open_clip builds no model of the configuration for {held.path}: {reason}") from None
    load_state_dict(model, held.state, made.name or "its configuration", held.path)
    return model


def _activation(made: Architecture, held: Weights, asked: bool | None) -> bool | None:
    """Whether QuickGELU is computed; None leaves it to the configuration. Warns where neither file nor configuration
    says which."""
    if asked is not None or held.quick_gelu is not None:
        return held.quick_gelu if asked is None else asked
    if not made.activation_is_known:
        where = f", as {made.name} has it" if made.name else ""
        warnings.warn(
            f"{held.path} does not say its activation; taken: GELU{where}; for QuickGELU, as in OpenAI's weights and "
            f"those tuned from them, say --activation quick_gelu",
            stacklevel=4,
        )
    return None


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
