"""A second bundled backbone with random weights, as a folder like those of the package."""

import hashlib
import json

import open_clip
import torch
from safetensors.torch import save

from cliptune.backbones import bundled

CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 48, "patch_size": 16, "width": 32, "head_width": 16, "layers": 5},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 40, "heads": 2, "layers": 3},
}
#: Words whose tokens count as trained.
WORDS = "a photo of the . cat horse pig dog"


def write_backbone(folder, config=CONFIG, words=WORDS):
    """Write `config.json`, `weights.safetensors` and `weights.sha256` with random weights; return all of them."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        state = open_clip.model.CLIP(**config).state_dict()
    ids = torch.tensor(sorted({*open_clip.SimpleTokenizer().encode(words), 49406, 49407}))
    table = state.pop("token_embedding.weight")
    stored = {name: tensor.half().contiguous() for name, tensor in state.items()}
    stored |= {"token_embedding.ids": ids.int(), "token_embedding.rows": table[ids].half()}
    data = save(stored)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "weights.safetensors").write_bytes(data)
    (folder / "weights.sha256").write_text(f"{hashlib.sha256(data).hexdigest()}  weights.safetensors\n")
    return stored


def add_backbone(monkeypatch, folder, name="sketch", trained_on="photographs"):
    """Add a backbone with random weights to the bundled ones, as the default for images of the kind `trained_on`, with
    its files in a subfolder of `folder`. Weights are cached by name, so a name stands for the same weights in all
    tests. Returns the stored tensors."""
    stored, read = write_backbone(folder / name), bundled._read
    monkeypatch.setitem(bundled.BUNDLED, name, bundled.BundledBackbone(name, trained_on))
    monkeypatch.setitem(bundled.DEFAULTS, trained_on, name)
    monkeypatch.setattr(
        bundled, "_read", lambda of, file: (folder / of / file).read_bytes() if of == name else read(of, file)
    )
    return stored
