"""Writes a pretraining checkpoint into the package: `python export.py RUN/last.pt`."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import save

BACKBONES = Path(__file__).resolve().parents[2] / "src" / "cliptune" / "backbones"


def main() -> None:
    """Half-precision weights, token rows in their compact form, the configuration and the checksum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--name", default="tiny", help="the bundled backbone to write")
    options = parser.parse_args()
    folder, last = BACKBONES / options.name, torch.load(options.checkpoint)
    state = {k: v.half().contiguous() for k, v in last["model"].items() if k != "token_embedding.weight"}
    state["token_embedding.rows"] = last["model"]["token_embedding.weight"].half()
    state["token_embedding.ids"] = last["ids"].int()
    data = save(state)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.safetensors").write_bytes(data)
    (folder / "weights.sha256").write_text(f"{hashlib.sha256(data).hexdigest()}  weights.safetensors\n")
    (folder / "config.json").write_text(json.dumps(last["config"], indent=2) + "\n")
    print(f"step {last['step']}: {len(data) / 2**20:.2f} MiB, {len(last['ids'])} token rows")


if __name__ == "__main__":
    main()
