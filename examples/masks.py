"""Draw images with the foreground masks of a mask source, and print the share of foreground.

    python examples/masks.py folder:photos --masks-from folder:masks
    python examples/masks.py oxford_pets --root /data

Without arguments, it uses the bundled drawings, whose masks are exact.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cliptune import masks
from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.errors import UserError
from cliptune.report.class_samples import ClassSamples, class_samples_png


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="emoji")
    parser.add_argument("--root", default="")
    parser.add_argument("--masks-from", default="data")
    parser.add_argument("--classes", type=int, default=4)
    parser.add_argument("--per-class", type=int, default=6)
    parser.add_argument("--out", type=Path, default=Path("masks.png"))
    options = parser.parse_args()
    if masks.uses_model(options.masks_from):
        raise UserError(
            f"{options.masks_from} needs a model: cliptune data show DATA --masks-from {options.masks_from}"
        )

    dataset = sources.get(options.data, DataConfig(root=options.root))
    source = masks.get(options.masks_from)
    groups = []
    for label in range(min(options.classes, len(dataset.classnames))):
        examples = [example for example in dataset.examples("train") if example.label == label][: options.per_class]
        images = [dataset.read(example) for example in examples]
        found = [source.mask(example, image) for example, image in zip(examples, images, strict=True)]  # (1, H, W)
        shares = [float((mask == 255).float().mean()) for mask in found]
        print(f"{dataset.classnames[label]}: {100 * sum(shares) / len(shares):.0f} % foreground")
        pairs = [(image.image, mask) for image, mask in zip(images, found, strict=True)]
        groups.append(ClassSamples(dataset.classnames[label], f"{len(examples)}", tuple(pairs)))
    options.out.write_bytes(class_samples_png(dataset.name, [f"masks from {options.masks_from}"], groups))
    print(f"saved {options.out}")


if __name__ == "__main__":
    main()
