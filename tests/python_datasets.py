"""Datasets as Python objects: an image, and three classes of drawings."""

import torch
from torchvision.transforms.v2.functional import to_pil_image

from tiny_tasks import drawings

CLASSNAMES = ["cat", "horse", "pig"]
RGB = torch.arange(3 * 4 * 5, dtype=torch.uint8).reshape(3, 4, 5)


def labeled_images(split="train", each=8):
    """`(image uint8 (3, 64, 64), label)` of three classes of drawings, class after class."""
    source = drawings()
    found = []
    for label, name in enumerate(CLASSNAMES):
        own = [e for e in source.examples(split) if source.classnames[e.label] == name][:each]
        found += [(source.read(e).image, label) for e in own]
    return found


class LabeledImages(torch.utils.data.Dataset):
    """In the style of torchvision: labels in `targets`; counts how often an image is read."""

    classes = CLASSNAMES

    def __init__(self, split="train", each=8):
        self.rows, self.asked = labeled_images(split, each), 0
        self.targets = [label for _, label in self.rows]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        self.asked += 1
        image, label = self.rows[i]
        return to_pil_image(image), label
