"""Tune a model on your own images, evaluate it, classify an image and save it.

    python examples/own_images.py folder:photos --backbone ViT-B-16 --pretrained openai

Without arguments, it uses the bundled drawings; without --backbone, a small bundled one for the kind of the images.
"""

from __future__ import annotations

import argparse

import cliptune as ct
from cliptune.data import sources


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="emoji:classes=validation,test_per_class=2,train_per_class=4")
    parser.add_argument("--method", default="coop")
    parser.add_argument("--backbone", default="auto")
    parser.add_argument("--pretrained", default="")
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--out", default="runs/own-images")
    options = parser.parse_args()

    run = ct.train(
        options.method,
        options.data,
        backbone=options.backbone,
        pretrained=options.pretrained,
        shots=options.shots,
        epochs=options.epochs,
        out=options.out,  # run again, the script continues there
    )
    print("accuracy:", {name: f"{value:.1f} %" for name, value in run.evaluate().items()})

    # Any path, PIL image, array or tensor can be classified; here an image of the test split.
    dataset = sources.get(options.data)
    example = dataset.examples("test")[0]
    image = dataset.read(example).image  # uint8 (3, H, W)
    print("class:", dataset.classnames[example.label])
    for name, probability in run.predict(image, top_k=3):
        print(f"  {name}: {100 * probability:.1f} %")

    # A saved run is loaded by its folder. It can be applied to other class names without training.
    again = ct.load(options.out).with_classes(["cat", "dog", dataset.classnames[example.label]])
    print("among three classes:", again.predict(image))


if __name__ == "__main__":
    main()
