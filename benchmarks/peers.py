"""cliptune beside what people use instead, in one process: the same model, images and losses.

    .venv/bin/pip install "transformers>=5.0" peft clip-benchmark
    .venv/bin/python benchmarks/peers.py --out benchmarks/results/peers.json

coop: a training step of CoOp as it is written by hand around open_clip's model.
lora: a training step of low-rank terms, by PEFT around transformers' CLIPModel; the same terms, without dropout.
loading: JPEGs through torchvision's ImageFolder and a DataLoader, with open_clip's evaluation transform.
zeroshot: clip-benchmark's zero-shot evaluation of image files. Its linear probe asserts a CUDA device.

Models are ViT-B/16 with random weights, in float32. Variants alternate, and agree in loss, pixels or accuracy.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from measure import alternate, machine
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms.v2.functional import to_pil_image
from workloads import BATCH, OURS, PULL_PUSH, classnames, trained

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.load import load_backbone
from cliptune.data.config import DataConfig
from cliptune.data.custom.folder import Folder
from cliptune.data.items import workers_for
from cliptune.data.loader import ExampleSet
from cliptune.engine.evaluate import predict_logits
from cliptune.engine.metrics import accuracy
from cliptune.methods.clip_lora import ClipLora
from cliptune.methods.coop import CoOp
from cliptune.methods.zeroshot import ZeroShot
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, TestSet

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from tiny_tasks import write_images  # noqa: E402

Variants = dict[str, Callable[[], float]]
#: Part -> packages that it needs besides cliptune's.
PARTS = {"coop": (), "lora": ("transformers", "peft"), "loading": (), "zeroshot": ("clip_benchmark",)}
PEERS = {
    "coop": "open_clip, by hand",
    "lora": "transformers, PEFT",
    "loading": "torchvision",
    "zeroshot": "clip-benchmark",
}
DRAWINGS = ("cat", "horse", "pig", "mouse", "bear", "bat", "penguin", "owl", "frog", "snake")
SPLITS = ("train", "val", "test")
CPU = torch.device("cpu")


class HandWritten(nn.Module):
    """CoOp around open_clip's model: learned context between the embedded start token and the names."""

    def __init__(self, model: nn.Module, tokenizer: Callable, names: list[str], context: Tensor):
        super().__init__()
        self.clip, n = model, len(context)
        self.tokens = tokenizer([" ".join("X" * n) + f" {name}." for name in names])
        embedding = model.token_embedding(self.tokens).detach()
        self.start, self.rest = embedding[:, :1], embedding[:, 1 + n :]
        self.context = nn.Parameter(context.detach().clone())

    def forward(self, images: Tensor) -> Tensor:
        model, context = self.clip, self.context.expand(len(self.tokens), -1, -1)
        x = torch.cat([self.start, context, self.rest], 1) + model.positional_embedding
        x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask))
        text = x[torch.arange(len(x)), self.tokens.argmax(-1)] @ model.text_projection
        image = model.encode_image(images)
        return model.logit_scale.exp() * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T


def stepped(module: nn.Module, logits: Callable[[], Tensor], labels: Tensor) -> float:
    """The loss of a step without the optimizer."""
    module.zero_grad()
    loss = F.cross_entropy(logits(), labels)
    loss.backward()
    return loss.item()


def batch_of(backbone: Backbone) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(torch.randn(BATCH, 3, *backbone.preprocess.size, generator=generator), torch.arange(BATCH))


def coop(backbone: Backbone, classes: int) -> Variants:
    names, batch = classnames(classes), batch_of(backbone)
    model = TunedModel(backbone, CoOp(), names)
    hand = HandWritten(backbone.model, backbone.tokenizer, names, model.learner.get_parameter("text"))
    return {
        PEERS["coop"]: lambda: stepped(hand, lambda: hand(batch.images), batch.labels),
        OURS: lambda: trained(model, batch, PULL_PUSH),
    }


def transformers_model(folder: str, small: bool) -> nn.Module:
    """transformers' CLIP of a size with its own random weights, saved for cliptune."""
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    depth = {"num_hidden_layers": 2} if small else {}
    model = CLIPModel(
        CLIPConfig(text_config={"eos_token_id": 49407, **depth}, vision_config={"patch_size": 16, **depth})
    )
    model.save_pretrained(folder)
    return model.eval()


def lora(folder: str, classes: int, small: bool = False) -> tuple[Variants, dict[str, int]]:
    """The variants, and the number of trainable parameters of each."""
    from peft import LoraConfig, get_peft_model

    theirs, names = transformers_model(folder, small), classnames(classes)
    method, backbone = ClipLora(rank=2, dropout=0.0, logit_scale=0.0), load_backbone(folder)
    model, batch = TunedModel(backbone, method, names).train(), batch_of(backbone)
    targets = ["q_proj", "k_proj", "v_proj"]
    config = LoraConfig(r=2, lora_alpha=1, use_rslora=True, target_modules=targets, lora_dropout=0.0)
    tuned = get_peft_model(theirs, config)  # type: ignore[arg-type]
    parameters, generator = dict(tuned.named_parameters()), torch.Generator().manual_seed(1)
    for tower, part in (("text", "text_model"), ("image", "vision_model")):
        for (block, layer), term in model.learner.terms(tower).items():  # type: ignore[operator]
            term.up.data.normal_(0, 0.02, generator=generator)
            path = f"base_model.model.{part}.encoder.layers.{block}.self_attn.{layer}_proj"
            parameters[f"{path}.lora_A.default.weight"].data.copy_(term.down)
            parameters[f"{path}.lora_B.default.weight"].data.copy_(term.up)
    ids = open_clip.get_tokenizer("ViT-B-16")([method.template.format(name) for name in names])
    ids = ids[:, : int(ids.argmax(1).max()) + 1]  # padded to the longest, as the processor does

    def logits() -> Tensor:
        return tuned(input_ids=ids, pixel_values=batch.images).logits_per_image

    counts = {
        PEERS["lora"]: sum(p.numel() for p in tuned.parameters() if p.requires_grad),
        OURS: sum(p.numel() for p in model.learner.parameters() if p.requires_grad),
    }
    return {
        PEERS["lora"]: lambda: stepped(tuned, logits, batch.labels),
        OURS: lambda: trained(model, batch, PULL_PUSH),
    }, counts


def uncached(folder: Path) -> Folder:
    """The images of a folder, decoded whenever they are read."""
    dataset = Folder(folder)
    dataset.reading = DataConfig(cache=False)
    return dataset


def loading(folder: Path, backbone: Backbone, workers: int) -> Variants:
    """Evaluation views of all images, read from their files."""
    preprocess = open_clip.image_transform(
        backbone.preprocess.size, False, mean=backbone.preprocess.mean, std=backbone.preprocess.std
    )

    def theirs() -> float:
        batches = DataLoader(ImageFolder(folder, preprocess), BATCH, num_workers=workers)
        return float(sum(images.double().sum() for images, _ in batches))

    def ours() -> float:
        dataset = uncached(folder)
        examples = [e for split in SPLITS for e in dataset.examples(split)]
        processes = workers_for(workers, CPU)
        batches = ExampleSet(dataset, examples, backbone.preprocess, keep=False).in_order(BATCH, CPU, workers=processes)
        return float(sum(batch.images.double().sum() for batch in batches))

    return {PEERS["loading"]: theirs, OURS: ours}


def zeroshot(folder: Path, backbone: Backbone) -> Variants:
    """The zero-shot accuracy on all images, from their files."""
    from clip_benchmark.metrics import zeroshot_classification

    dataset = uncached(folder)
    examples = tuple(e for split in SPLITS for e in dataset.examples(split))
    names = list(dataset.classnames)
    model = TunedModel(backbone, ZeroShot(), names, ["a photo of a {}."]).eval()
    own = backbone.preprocess
    transform = open_clip.image_transform(own.size, False, mean=own.mean, std=own.std)
    batches = DataLoader(ImageFolder(folder, transform), 100)

    def theirs() -> float:
        model, tokenizer = backbone.model, backbone.tokenizer
        templates = ["a photo of a {c}."]
        weights = zeroshot_classification.zero_shot_classifier(model, tokenizer, names, templates, "cpu", amp=False)
        logits, labels = zeroshot_classification.run_classification(model, weights, batches, "cpu", amp=False)
        # The package's own accuracy fails with NumPy 2.
        return 100 * (logits.argmax(1) == labels).double().mean().item()

    def ours() -> float:
        backbone.feature_cache.clear()
        test = TestSet(examples, tuple(names))
        return accuracy(predict_logits(model, dataset, test).argmax(1), test)

    return {PEERS["zeroshot"]: theirs, OURS: ours}


def photographs(folder: Path, count: int) -> Path:
    """Smooth noise as JPEGs of 500 x 375, in two classes."""
    generator = torch.Generator().manual_seed(0)
    for i in range(count):
        noise = torch.rand(1, 3, 24, 32, generator=generator) * 255
        image = F.interpolate(noise, (375, 500), mode="bicubic").clamp(0, 255).byte()[0]
        path = folder / f"class{i % 2}" / f"{i:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        to_pil_image(image).save(path, quality=90)
    return folder


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100], help="of the training steps")
    parser.add_argument("--images", type=int, default=100, help="JPEGs that are loaded")
    parser.add_argument("--workers", type=int, default=0, help="worker processes of both loaders")
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "peers.json")
    options = parser.parse_args(arguments)
    missing = {name for part in options.parts for name in PARTS[part] if importlib.util.find_spec(name) is None}
    if missing:
        names = " ".join(sorted(name.replace("_", "-") for name in missing))
        print(f"these parts need more packages: pip install {names}, or leave parts out with --parts", file=sys.stderr)
        return 2
    torch.set_num_threads(options.threads)
    logging.disable(logging.WARNING)  # open_clip logs that the weights are random
    rows: list[dict] = []

    def measure(part: str, variants: Variants, **about) -> None:
        timings = {name: timing.record() for name, timing in alternate(variants, options.samples).items()}
        theirs, ours = timings[PEERS[part]], timings[OURS]
        ratios = {name: theirs[name] / ours[name] for name in ("seconds", "cpu_seconds")}
        rows.append({"part": part, **about, "variants": timings, "ratio": ratios})
        print(f"{part} {about}: {theirs['seconds']:.3g} s, {ours['seconds']:.3g} s, ratio {ratios}")
        report = {"machine": machine(), "workers": options.workers, "rows": rows}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, indent=1) + "\n")  # after each part, in case of an interruption

    with tempfile.TemporaryDirectory() as scratch:
        backbone = load_backbone("ViT-B-16", "random")
        for part in options.parts:
            if part == "loading":
                folder = photographs(Path(scratch) / "photographs", options.images)
                measure(part, loading(folder, backbone, options.workers), images=options.images)
            elif part == "zeroshot":
                folder = write_images(Path(scratch) / "drawings", DRAWINGS, 4)
                for name, own in (("ViT-B-16, random", backbone), ("tiny, bundled", load_backbone("tiny"))):
                    variants = zeroshot(folder, own)
                    measure(part, variants, model=name, images=4 * len(DRAWINGS), accuracy=variants[OURS]())
            elif part == "lora":
                for classes in options.classes:
                    variants, counts = lora(scratch, classes)
                    measure(part, variants, classes=classes, parameters=counts, loss=variants[OURS]())
            else:
                for classes in options.classes:
                    variants = coop(backbone, classes)
                    measure(part, variants, classes=classes, loss=variants[OURS]())
    return 0


if __name__ == "__main__":
    sys.exit(main())
