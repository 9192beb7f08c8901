"""Build backbones from a weights file, a folder, a name that open_clip loads, or the bundled weights."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import set_model_preprocess_cfg
from open_clip.utils import to_2tuple

from cliptune.backbones import architecture, huggingface, weights_file
from cliptune.backbones.architecture import Architecture
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.bundled import BundledBackbone
from cliptune.backbones.preprocess import complete_preprocess_cfg, published_preprocess_cfg
from cliptune.backbones.resolve import OPEN_CLIP_CONFIG, RANDOM, BackboneSource
from cliptune.backbones.state_dict import load_state_dict
from cliptune.backbones.tokenizer import ClipTokenizer, load_tokenizer
from cliptune.backbones.weights_file import Weights
from cliptune.errors import UserError
from cliptune.types import LinearBackend
from cliptune.user_warnings import warn_user

#: Seed of random weights, so that a run on them can be repeated and its checkpoint used again.
RANDOM_WEIGHTS_SEED = 0


def build_bundled(bundled: BundledBackbone, linear_backend: LinearBackend) -> Backbone:
    """A backbone of the package."""
    config = bundled.config()
    model = open_clip.model.CLIP(**config)
    model.load_state_dict(bundled.state_dict())
    set_model_preprocess_cfg(model, complete_preprocess_cfg(model, {}))
    tokenizer = ClipTokenizer(config["text_cfg"]["context_length"])
    return Backbone(bundled.name, model, tokenizer, linear_backend, bundled.untrained_tokens, config)


def build_named(source: BackboneSource, quick_gelu: bool | None, linear_backend: LinearBackend) -> Backbone:
    """An open_clip architecture with the weights of a file."""
    weights = weights_file.read_weights(Path(source.pretrained))
    named = architecture.named_architecture(source.name)
    model = _build_model(named, weights, _choose_activation(named, weights, quick_gelu))
    set_model_preprocess_cfg(model, complete_preprocess_cfg(model, published_preprocess_cfg(source.name, weights.path)))
    return Backbone(source.label, model, load_tokenizer(source.name), linear_backend, config=named.config)


def build_inferred(
    weights: Weights, source: BackboneSource, quick_gelu: bool | None, linear_backend: LinearBackend
) -> Backbone:
    """A weights file whose architecture is inferred from its tensors."""
    inferred = architecture.infer_architecture(weights.state, weights.path)
    if inferred.guessed and not weights.quick_gelu:  # for OpenAI's own files the guess is right
        warn_user(
            f"{weights.path} does not contain its configuration, and open_clip has no architecture with its shapes; "
            f"using {inferred.guessed}; if that is wrong, use --backbone ARCHITECTURE --pretrained {weights.path}"
        )
    model = _build_model(inferred, weights, _choose_activation(inferred, weights, quick_gelu))
    preprocess = published_preprocess_cfg(inferred.name, weights.path)
    set_model_preprocess_cfg(model, complete_preprocess_cfg(model, preprocess))
    text = inferred.config["text_cfg"]
    tokenizer = load_tokenizer(inferred.name) if inferred.name else ClipTokenizer(text["context_length"])
    tokenizer.context_length = text["context_length"]
    return Backbone(source.label, model, tokenizer, linear_backend, config=inferred.config)


def build_folder(source: BackboneSource, quick_gelu: bool | None, linear_backend: LinearBackend) -> Backbone:
    """A folder with a configuration and weights."""
    path = Path(source.name)
    if not (path / OPEN_CLIP_CONFIG).is_file():
        if not huggingface.is_clip_folder(path):
            raise UserError(weights_file.describe_unusable_folder(path))
        return _build_transformers(path, source, quick_gelu, linear_backend)
    config = huggingface.read_json_object(path / OPEN_CLIP_CONFIG)
    missing = [key for key in ("embed_dim", "vision_cfg", "text_cfg") if key not in config.get("model_cfg", {})]
    if missing:
        raise UserError(
            f"{path / OPEN_CLIP_CONFIG} has no {', '.join(missing)} in its model_cfg; copy the model's own file"
        )
    weights, tokenizer = weights_file.read_folder_weights(path, OPEN_CLIP_CONFIG), load_tokenizer(source.label)
    model = _build_model(Architecture("", config["model_cfg"]), weights, quick_gelu)
    set_model_preprocess_cfg(model, complete_preprocess_cfg(model, config.get("preprocess_cfg") or {}))
    return Backbone(source.label, model, tokenizer, linear_backend, config=config["model_cfg"])


def _build_transformers(
    path: Path, source: BackboneSource, quick_gelu: bool | None, linear_backend: LinearBackend
) -> Backbone:
    """A folder of transformers' `CLIPModel`, whose configuration files have the settings that tensors do not show."""
    weights = weights_file.read_folder_weights(path, huggingface.CONFIG_FILE)
    settings = huggingface.read_clip_settings(path)
    try:
        config = architecture.config_from_shapes(weights.state, settings.heads)
    except (KeyError, ValueError) as error:
        raise UserError(f"{path / huggingface.CONFIG_FILE} does not fit {weights.path}: {error}") from None
    if config["text_cfg"]["vocab_size"] != architecture.VOCAB_SIZE:
        raise UserError(
            f"{path} has another vocabulary than CLIP's; add an {OPEN_CLIP_CONFIG} with its hf_tokenizer_name"
        )
    for tower, eps in zip(("text_cfg", "vision_cfg"), settings.eps, strict=True):
        config[tower]["norm_kwargs"] = {"eps": eps}
    model = _build_model(Architecture("", config), weights, settings.quick_gelu if quick_gelu is None else quick_gelu)
    preprocess = complete_preprocess_cfg(model, settings.preprocess)
    if to_2tuple(settings.preprocess["size"]) != to_2tuple(preprocess["size"]):
        raise UserError(
            f"{path / huggingface.PREPROCESSOR_FILE} has another image size than {weights.path}; restore both files"
        )
    set_model_preprocess_cfg(model, preprocess)
    tokenizer = ClipTokenizer(config["text_cfg"]["context_length"])
    return Backbone(source.label, model, tokenizer, linear_backend, config=config)


def build_with_open_clip(source: BackboneSource, quick_gelu: bool | None, linear_backend: LinearBackend) -> Backbone:
    """A model that open_clip creates and loads itself: from the hub, with the weights of a tag, or random weights."""
    name, random = source.label.removesuffix(f"/{source.pretrained}"), source.pretrained == RANDOM
    if random:
        warn_user(
            f"{name} has random weights (seed {RANDOM_WEIGHTS_SEED}), which classify by chance: use them to try code"
        )
    elif source.pretrained and quick_gelu is None:
        # Some architectures and tags disagree on the activation; the weights were trained with that of the tag.
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
        title = f"{name} {source.pretrained}".rstrip()
        raise UserError(f"backbone {title} could not be loaded: {reason[:300]}") from None
    backbone = Backbone(source.label, model, tokenizer, linear_backend, config=open_clip.get_model_config(name))
    _ = backbone.preprocess  # raises for an invalid configuration
    return backbone


def _build_model(chosen: Architecture, weights: Weights, quick_gelu: bool | None) -> Any:
    """The model of an architecture with the weights of a file."""
    try:
        with _quiet():
            model = chosen.build(quick_gelu)
    except Exception as error:  # the configuration may be the user's, and open_clip checks little of it
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise UserError(f"open_clip cannot build a model from the configuration for {weights.path}: {reason}") from None
    load_state_dict(model, weights.state, chosen.name or "its configuration", weights.path)
    return model


def _choose_activation(chosen: Architecture, weights: Weights, quick_gelu: bool | None) -> bool | None:
    """Whether to use QuickGELU: as requested, else as in the file; None: as in the configuration. Warns if nothing
    determines it."""
    if quick_gelu is not None or weights.quick_gelu is not None:
        return weights.quick_gelu if quick_gelu is None else quick_gelu
    if not chosen.activation_is_known:
        source = f", as in {chosen.name}" if chosen.name else ""
        warn_user(
            f"{weights.path} does not contain its activation; using GELU{source}; for QuickGELU, as in OpenAI's "
            f"weights and those tuned from them, add --activation quick_gelu"
        )
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress open_clip's warnings through the root logger and its progress bars on standard error."""
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(previous)
