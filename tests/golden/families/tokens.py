"""The tokenizer: unusual strings, and texts at and beyond the context length."""

from __future__ import annotations

import torch

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.load import backbone_from_state_dict
from cliptune.errors import UserError
from golden.case import Case
from golden.compare import Report

METHODS = ("CLIP BPE tokeniser",)


def check(case: Case, report: Report) -> None:
    content, backbone = case.json, _smallest(case)
    tokenizer, encode = backbone.tokenizer, backbone.prompt_tokenizer
    report.value("sot", tokenizer.sot_token_id, content["sot"])
    report.value("eot", tokenizer.eot_token_id, content["eot"])
    report.value("context_length", backbone.context_length, content["context_length"])
    for i, item in enumerate(content["encode"]):
        report.value(f"encode[{i}].codepoints", [ord(c) for c in item["text"]], item["codepoints"])
        report.value(f"encode[{i}].ids", tokenizer.encode(item["text"]), item["ids"])
        report.value(f"encode[{i}].decoded", tokenizer.decode(item["ids"]), item["decoded"])
        report.all_known(f"encode[{i}]", item, "text", "codepoints", "ids", "decoded")
    for i, item in enumerate(content["tokenize"]):
        ids = tokenizer([item["text"]])[0]  # truncates long texts
        report.value(f"tokenize[{i}].padded", ids.tolist(), item["padded"])
        report.value(f"tokenize[{i}].eot_position", int(ids.argmax()), item["eot_position"])
        if len(tokenizer.encode(item["text"])) + 2 <= backbone.context_length:
            end = int(backbone.tokenize([item["text"]]).pool_index)
            report.value(f"tokenize[{i}].eot_position", end, item["eot_position"])
        report.all_known(f"tokenize[{i}]", item, "text", "truncate", "padded", "eot_position")
    if "exactly_75_tokens" in content:
        fits = content["exactly_75_tokens"]
        report.value("exactly_75_tokens", encode(tokenizer.decode(fits[1:-1]).strip()), fits)
    if "too_long_without_truncate" in content:
        report.value("too_long_without_truncate", _refuses(backbone, content["text_80_words"]), True)
    facts = ("case", "method", "vocab", "notes", "ftfy", "regex", "sot", "eot", "context_length", "encode", "tokenize")
    report.all_known("case.json", content, *facts, "exactly_75_tokens", "too_long_without_truncate", "text_80_words")


def _refuses(backbone: Backbone, text: str) -> bool:
    """Whether the library raises `UserError`, where the official code raises its own error."""
    try:
        backbone.prompt_tokenizer(text)
    except UserError:
        return True
    return False


def _smallest(case: Case) -> Backbone:
    """A model of one block per tower with the full vocabulary: only its tokenizer matters."""
    vision = {"kind": "vit", "image_size": 16, "patch_size": 16, "vision_width": 64, "vision_layers": 1}
    text = {"text_width": 64, "text_layers": 1, "context_length": case.json["context_length"]}
    config = {**vision, **text, "vocab_size": case.json["eot"] + 1, "embed_dim": 64, "logit_scale": 0.0}
    weights = case.generator.clip_state_dict(0, config)
    state = {key: torch.from_numpy(value) for key, value in weights.items()}
    return backbone_from_state_dict({**state, "input_resolution": torch.tensor(0)}, "smallest", linear_backend="torch")
