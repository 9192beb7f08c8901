"""open_clip's configurations with small widths and depths; everything that decides the mathematics is unchanged."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip
import timm
import torch
from safetensors.torch import save_file
from timm.models.vitamin import VitCfg, VitConvCfg

import tiny_tokenizers

WIDTH = 64
#: The kind of tokenizer that replaces one of Hugging Face, by a part of its name; the first match counts.
KINDS = {
    "SigLIP2": "gemma",
    "i18n": "t5",
    "SigLIP": "siglip",
    "bert-base": "bert",
    "xlm": "xlm",
    "roberta": "roberta",
    "mt5": "t5",
    "nllb": "nllb",
}
#: Models of Hugging Face: part of the name -> configuration.
SMALL = {"vocab_size": 600, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
SMALL |= {"intermediate_size": 64, "max_position_embeddings": 96, "pad_token_id": 1}
HF = {
    "xlm-roberta": {"model_type": "xlm-roberta", **SMALL},
    "roberta": {"model_type": "roberta", **SMALL},
    "mt5": {"model_type": "mt5", "vocab_size": 600, "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2}
    | {"num_heads": 2, "pad_token_id": 0},
    "nllb": {"model_type": "m2m_100", "vocab_size": 600, "d_model": 32, "encoder_layers": 2, "decoder_layers": 1}
    | {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    | {"max_position_embeddings": 96, "pad_token_id": 1},
}
#: Narrow towers of timm, by the beginning of their name.
VITAMIN = VitCfg(
    embed_dim=(16, 32, WIDTH),
    depths=(1, 1, 1),
    stem_width=16,
    conv_cfg=VitConvCfg(norm_layer="layernorm2d", norm_eps=1e-6),
    head_type="1d",
)
TIMM: dict[str, dict[str, Any]] = {
    "convnext": {"depths": (1, 1, 1, 1), "dims": (16, 24, 32, WIDTH)},
    "fastvit_mci3": {"layers": (1,) * 5, "embed_dims": (16, 32, 64, 128, 256)},
    "fastvit_mci4": {"layers": (1,) * 5, "embed_dims": (16, 32, 64, 128, 256)},
    "fastvit": {"layers": (1,) * 4, "embed_dims": (32, 64, 128, 256)},
    "swin": {"embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)},
    "vitamin": {"embed_dim": WIDTH, "depth": 1, "num_heads": 2, "embed_cfg": VITAMIN},
    "vit_base_mci": {"depth": 1},
    "": {"embed_dim": WIDTH, "depth": 2, "num_heads": 2},
}


def first(table: dict[str, Any], name: str) -> Any:
    return next(value for part, value in table.items() if part in name)


@contextmanager
def narrow_timm() -> Iterator[None]:
    """Within the context, timm builds the narrow towers of `TIMM`."""
    create = timm.create_model

    def narrow(name: str, *args: Any, **options: Any) -> torch.nn.Module:
        own = next(value for start, value in TIMM.items() if name.startswith(start))
        return create(name, *args, **own, **options)

    timm.create_model = narrow
    try:
        yield
    finally:
        timm.create_model = create


def narrowed(name: str) -> dict[str, Any]:
    """The configuration of `name` with few layers and small widths; image sizes stay where timm needs them."""
    config = copy.deepcopy(open_clip.get_model_config(name))
    assert config is not None
    text, vision = config["text_cfg"], config["vision_cfg"]
    config["embed_dim"] = WIDTH
    if "hf_model_name" not in text:
        heads = text["heads"] if text["heads"] < 20 else 10
        heads = 8 if text.get("proj_type") == "none" else heads
        text.update(layers=2, heads=heads, width=8 * heads)
        text["vocab_size"] = 600 if "hf_tokenizer_name" in text else text["vocab_size"]
    if "multimodal_cfg" in config:
        config["multimodal_cfg"].update(layers=1, width=8 * config["multimodal_cfg"]["heads"])
    if "timm_model_name" in vision:
        return config
    if isinstance(vision["layers"], list):
        vision.update(layers=[1, 1, 1, 1], width=WIDTH, image_size=64)
    else:
        vision.update(layers=2, width=2 * vision.get("head_width", 64), image_size=4 * vision["patch_size"])
    return config


def folder(name: str, root: Path) -> Path:
    """A local model as open_clip reads it (`local-dir:`): configuration, random weights, and a tokenizer if it has one
    of Hugging Face. Call it, and load what it wrote, within `narrow_timm`."""
    root.mkdir(parents=True)
    config = narrowed(name)
    text = config["text_cfg"]
    if "hf_model_name" in text:
        own = root / "text"
        own.mkdir()
        (own / "config.json").write_text(json.dumps(first(HF, text["hf_model_name"])))
        text["hf_model_name"] = str(own)
    if "hf_tokenizer_name" in text:
        tiny_tokenizers.save(first(KINDS, text["hf_tokenizer_name"]), root)
    (root / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.create_model(f"local-dir:{root}", pretrained_text=False)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "logit" not in key:  # no zeros or ones, which could hide a mistake
                parameter.add_(noise * (0.1 if parameter.ndim < 2 else 0.02))
    weights = {key: value.contiguous().clone() for key, value in model.state_dict().items()}
    save_file(weights, root / "open_clip_model.safetensors")
    return root
