"""The training loop of pretraining, and its options on the command line."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from open_clip.model import CLIP
from torch import Tensor, nn
from towers import Words, bundled_weights, clip_loss, encode_image, encode_text, plain_attention

from cliptune.data.emoji.background import keyed_generator


class Data(Protocol):
    """What a run trains on and is checked with."""

    texts: Iterable[str]
    """Texts that together contain every token of any caption."""

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, list[str], Sequence[str]]:
        """Images `(b, 3, H, W)` in 0..255, their captions, and their groups: pairs of one group are positives."""
        ...

    def check(self, model: CLIP, words: Words) -> dict[str, float]:
        """Figures for the log."""
        ...


def train(data: Data, config: dict, recipe: dict, out: Path, save_every: float) -> None:
    """The one schedule, logged to `out/log.jsonl`, saved in `out/last.pt`."""
    torch.manual_seed(recipe["seed"])
    F.scaled_dot_product_attention = plain_attention
    words = Words(data.texts)
    model = CLIP(**{**config, "text_cfg": {**config["text_cfg"], "vocab_size": len(words.ids)}})
    if recipe.get("start"):
        model.load_state_dict(bundled_weights(recipe["start"], words))
    tuners = optimisers(model, recipe)
    peaks = [[g["lr"] for g in o.param_groups] for o in tuners]
    start, spent = 0, 0.0
    if (out / "last.pt").exists():
        last = torch.load(out / "last.pt")
        model.load_state_dict(last["model"])
        for o, s in zip(tuners, last["optimisers"], strict=True):
            o.load_state_dict(s)
        start, spent = last["step"], last["seconds"]
    began = saved = time.monotonic()
    steps = recipe["steps"]
    patches = (config["vision_cfg"]["image_size"] // config["vision_cfg"]["patch_size"]) ** 2
    half = torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else None
    mean_loss = None
    log = (out / "log.jsonl").open("a")
    for step in range(start, steps):
        if step % 20 == 0 and (out / "threads").exists():
            # Lets a busy machine give or take a core without a restart; it does not change what is computed.
            torch.set_num_threads(int((out / "threads").read_text()))
        rng = keyed_generator("pretraining", recipe["seed"], "step", step)
        warm, done = min(1.0, (step + 1) / recipe["warmup"]), step / steps
        for o, lrs in zip(tuners, peaks, strict=True):
            for g, lr in zip(o.param_groups, lrs, strict=True):
                g["lr"] = lr * warm * max(0.01, 0.5 * (1 + math.cos(math.pi * done)))
        images, texts, groups = data.batch(rng)
        keep = None
        if done < recipe["dropout_until"]:
            keep = torch.from_numpy(np.sort(rng.permutation(patches)[: int(patches * (1 - recipe["patch_dropout"]))]))
        with torch.autocast("cpu", half) if half else contextlib.nullcontext():
            image, text = encode_image(model, images, keep, half), encode_text(model, words(texts), half)
        loss = clip_loss(image, text, model.logit_scale.exp(), groups)
        for o in tuners:
            o.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for o in tuners:
            o.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        mean_loss = loss.item() if mean_loss is None else 0.97 * mean_loss + 0.03 * loss.item()
        now, last_step = time.monotonic(), step + 1 == steps
        if (step + 1) % 200 == 0 or step + 1 == 50 or last_step:
            row = {
                "step": step + 1,
                "images": (step + 1) * recipe["batch"],
                "seconds": round(spent + now - began, 1),
                "loss": round(mean_loss, 3),
                "scale": round(model.logit_scale.exp().item(), 1),
                **data.check(model, words),
            }
            log.write(json.dumps(row) + "\n")
            log.flush()
            print(row, flush=True)
        if now - saved > save_every or last_step:
            state = {
                "model": model.state_dict(),
                "optimisers": [o.state_dict() for o in tuners],
                "step": step + 1,
                "seconds": spent + now - began,
                "ids": words.ids,
                "recipe": recipe,
                "config": config,
            }
            torch.save(state, out / "last.tmp")
            (out / "last.tmp").replace(out / "last.pt")
            saved = now


def optimisers(model: CLIP, recipe: dict) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for the rest (no decay for vectors and the scale)."""
    blocks = [p for n, p in model.named_parameters() if "resblocks" in n and p.ndim == 2]
    chosen = {id(p) for p in blocks}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": recipe["weight_decay"]},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [
        torch.optim.Muon(
            blocks, lr=recipe["muon_lr"], weight_decay=recipe["weight_decay"], adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(groups, lr=recipe["adam_lr"], betas=(0.9, 0.98)),
    ]


def run(build: Callable[[Path, dict], Data], config: dict, recipe: Path, description: str | None) -> None:
    """Read the options and the recipe, then train on `build(work, recipe)`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder with the prepared images")
    parser.add_argument("--out", type=Path, required=True, help="folder for log.jsonl and last.pt")
    parser.add_argument("--recipe", type=Path, default=recipe)
    parser.add_argument("--steps", type=int, help="a shorter schedule, to try things out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save-every", type=float, default=180, help="seconds between checkpoints")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    settings = yaml.safe_load(args.recipe.read_text())
    if args.steps:
        settings["steps"] = args.steps
    args.out.mkdir(parents=True, exist_ok=True)
    train(build(args.work, settings), config, settings, args.out, args.save_every)
