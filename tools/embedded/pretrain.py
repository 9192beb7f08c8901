"""Pretrains the embedded CLIP on composites: `python pretrain.py --work BUILD --out RUN`; resumes from RUN/last.pt.

Set OMP_WAIT_POLICY=PASSIVE on a shared machine. BUILD contains the sprites that `artwork.py` made.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from composites import SHIPPED, SIZE, Artwork, Pool
from open_clip.model import CLIP
from torch import nn
from towers import CONFIG, Words, clip_loss, encode_image, encode_text, plain_attention

from cliptune.data.emoji.background import BACKGROUND_NAMES, keyed_generator

HERE = Path(__file__).resolve().parent


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


class Validation:
    """The validation classes on canvases and poses that training never draws: top-1 by style, and backgrounds named."""

    def __init__(self, art: Artwork, count: int = 6) -> None:
        shipped = json.loads(SHIPPED.read_text())["validation"]
        index = {r["hexcode"]: i for i, r in enumerate(art.rows)}
        self.names, labels = [r["name"] for r in shipped], [index[r["hexcode"]] for r in shipped]
        self.images, self.truth, self.grounds = {}, torch.arange(len(labels)).repeat(count), None
        for style in ("fluent-3d", "fluent-flat", "noto"):
            rng = keyed_generator("pretraining", "validation", 0)
            grounds = [BACKGROUND_NAMES[int(k)] for k in rng.integers(len(BACKGROUND_NAMES), size=len(labels) * count)]
            which = [(c, style) for _ in range(count) for c in labels]
            self.images[style] = art.compose(rng, which, grounds, 2_000_000)
            self.grounds = torch.tensor([BACKGROUND_NAMES.index(g) for g in grounds])

    @torch.no_grad()
    def __call__(self, model: CLIP, words: Words) -> dict[str, float]:
        classes = encode_text(model, words([f"a photo of a {n}." for n in self.names]))
        places = encode_text(model, words([f"a photo of a {n}." for n in BACKGROUND_NAMES]))
        out = {}
        for style, images in self.images.items():
            features = encode_image(model, images)
            out[style] = 100 * ((features @ classes.T).argmax(1) == self.truth).float().mean().item()
            out[f"{style} background"] = 100 * ((features @ places.T).argmax(1) == self.grounds).float().mean().item()
        return {k: round(v, 1) for k, v in out.items()}


def train(art: Artwork, recipe: dict, out: Path, save_every: float) -> None:
    """The one schedule, logged to `out/log.jsonl`, saved in `out/last.pt`."""
    torch.manual_seed(recipe["seed"])
    F.scaled_dot_product_attention = plain_attention
    words = Words(art.rows)
    model = CLIP(**{**CONFIG, "text_cfg": {**CONFIG["text_cfg"], "vocab_size": len(words.ids)}})
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
    pool = Pool(art, keyed_generator("pretraining", recipe["seed"], start))
    check = Validation(art)
    steps = recipe["steps"]
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
        images, texts = pool.batch(rng)
        patches = (SIZE // 8) ** 2
        keep = None
        if done < recipe["dropout_until"]:
            keep = torch.from_numpy(np.sort(rng.permutation(patches)[: int(patches * (1 - recipe["patch_dropout"]))]))
        with torch.autocast("cpu", half) if half else contextlib.nullcontext():
            image, text = encode_image(model, images, keep, half), encode_text(model, words(texts), half)
        loss = clip_loss(image, text, model.logit_scale.exp(), texts)
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
                **check(model, words),
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
                "config": CONFIG,
            }
            torch.save(state, out / "last.tmp")
            (out / "last.tmp").replace(out / "last.pt")
            saved = now


def main() -> None:
    """Read the recipe and run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder with sprites.npz and classes.json")
    parser.add_argument("--out", type=Path, required=True, help="folder for log.jsonl and last.pt")
    parser.add_argument("--recipe", type=Path, default=HERE / "recipe.yaml")
    parser.add_argument("--steps", type=int, help="a shorter schedule, to try things out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save-every", type=float, default=180, help="seconds between checkpoints")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    recipe = yaml.safe_load(args.recipe.read_text())
    if args.steps:
        recipe["steps"] = args.steps
    args.out.mkdir(parents=True, exist_ok=True)
    train(Artwork(args.work, recipe), recipe, args.out, args.save_every)


if __name__ == "__main__":
    main()
