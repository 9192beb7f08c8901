"""Reliance of a classifier on backgrounds: accuracy without or with other backgrounds, and saliency on the object.

Model-agnostic: functions take images, masks and a callable that returns logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cliptune.analysis.background_conditions import CONDITIONS, apply_conditions
from cliptune.types import DecodedImage

if TYPE_CHECKING:
    from torch import Tensor

    #: Images of any sizes, uint8 `(3, H, W)` -> logits `(n, C)`.
    Logits = Callable[[Sequence[Tensor]], Tensor]
    #: The same and one class per image -> non-negative saliency maps `(H, W)`, each of its image's size.
    Saliency = Callable[[Sequence[Tensor], Sequence[int]], Sequence[Tensor]]


@dataclass(frozen=True)
class Reliance:
    """Measurements of one model. Shares are in percent.

    Args:
        pictures: Number of images; the field's name is that in records.
        accuracy: Accuracy per condition.
        lost: Number of images per condition that were classified correctly in the original only.
        gained: Number of images per condition that were classified correctly under the condition only.
        followed: Share of images with swapped backgrounds that were assigned the class of that background.
        area: Share of foreground pixels, which is also the `energy` of uniform saliency.
        energy: Share of the saliency that is on the foreground, or None without saliency.
        pointing: Share of images whose most salient pixel is on the foreground, or None without saliency.
        blank: Number of images whose saliency is zero everywhere; `energy` and `pointing` do not count them.
        left_out: Number of images that were not measured, by reason.
    """

    pictures: int
    accuracy: Mapping[str, float]
    lost: Mapping[str, int]
    gained: Mapping[str, int]
    followed: float
    area: float
    energy: float | None = None
    pointing: float | None = None
    blank: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Reliance:
        """Read the fields of a record. Older records call the condition "background" "scenery"."""
        fields = dict(values)
        for name in ("accuracy", "lost", "gained"):
            fields[name] = {("background" if k == "scenery" else k): v for k, v in dict(fields[name]).items()}
        return cls(**fields)

    def drop(self, condition: str) -> tuple[float, float]:
        """Accuracy of the original minus that of `condition`, in points, with the standard error of the difference.

        Both are measured on the same images, so only images whose correctness changes contribute (paired comparison).
        """
        lost, gained, n = self.lost[condition], self.gained[condition], self.pictures
        return 100 * (lost - gained) / n, 100 * math.sqrt(lost + gained - (lost - gained) ** 2 / n) / n


def draw_donors(classes: Sequence[frozenset[int]], seed: int) -> list[int]:
    """For each image, the index of a random other image that shows none of its classes.

    Raises `ValueError` if an image has no such other.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, len(classes)]))
    found = []
    for own in classes:
        for _ in range(64):
            other = int(generator.integers(len(classes)))
            if not own & classes[other]:
                break
        else:  # few candidates: list them instead of drawing on
            others = [i for i, shown in enumerate(classes) if not own & shown]
            if not others:
                raise ValueError("all images show one class, so no background of another class is available")
            other = others[int(generator.integers(len(others)))]
        found.append(other)
    return found


def compute_reliance(
    images: Sequence[DecodedImage] | Callable[[int], DecodedImage],
    classes: Sequence[frozenset[int]],
    logits: Logits,
    saliency: Saliency | None = None,
    *,
    mean: Sequence[float] = (0.48145466, 0.4578275, 0.40821073),
    seed: int = 0,
    true: bool = False,
    batch_size: int = 50,
    tick: Callable[[int], None] | None = None,
) -> Reliance:
    """Measure the reliance of a model on backgrounds.

    Args:
        images: Images with masks that have foreground and background, or a function that reads one by its position.
        classes: The classes that each image shows.
        logits: The model.
        saliency: The model's saliency, or None.
        mean: Colour in [0, 1] of removed backgrounds.
        seed: Seed of the choice of swapped backgrounds.
        true: Measure saliency of the true class (the lowest of several) instead of the predicted one.
        batch_size: Images per call of `logits` and `saliency`.
        tick: Called after each batch with its number of images.
    """
    read = images if callable(images) else images.__getitem__
    donors = draw_donors(classes, seed)
    correct: dict[str, list[bool]] = {name: [] for name in CONDITIONS}
    followed, area = 0, 0.0
    shares: list[tuple[float, bool] | None] = []
    for start in range(0, len(classes), batch_size):
        chosen = range(start, min(start + batch_size, len(classes)))
        chosen_images = [_image_and_mask(read(i)) for i in chosen]
        donor_images = [_image_and_mask(read(donors[i])) for i in chosen]
        changed = [apply_conditions(*own, *other, mean) for own, other in zip(chosen_images, donor_images, strict=True)]
        predictions = {name: logits([images[name] for images in changed]).argmax(1).tolist() for name in CONDITIONS}
        for name, predicted in predictions.items():
            correct[name] += [label in classes[i] for label, i in zip(predicted, chosen, strict=True)]
        followed += sum(label in classes[donors[i]] for label, i in zip(predictions["swapped"], chosen, strict=True))
        area += sum(float(mask.double().mean()) for _, mask in chosen_images) / 255
        if saliency is not None:
            labels = [min(classes[i]) for i in chosen] if true else predictions["original"]
            maps = saliency([image for image, _ in chosen_images], labels)
            shares += [saliency_on_foreground(one, mask) for one, (_, mask) in zip(maps, chosen_images, strict=True)]
        if tick is not None:
            tick(len(chosen))
    return _summarise(correct, shares, followed, area)


def _summarise(
    correct: Mapping[str, Sequence[bool]], shares: Sequence[tuple[float, bool] | None], followed: int, area: float
) -> Reliance:
    """Turn measurements of each image into shares.

    Args:
        correct: Per condition, whether each image was classified correctly.
        shares: `saliency_on_foreground` of each image; empty without saliency.
        followed: Number of images assigned the class of their swapped background.
        area: Sum of the images' shares of foreground pixels.
    """
    n = len(correct["original"])
    before_and_after = {name: list(zip(correct["original"], now, strict=True)) for name, now in correct.items()}
    measured = [one for one in shares if one is not None]
    return Reliance(
        pictures=n,
        accuracy={name: 100 * sum(now) / n for name, now in correct.items()},
        lost={name: sum(was and not now for was, now in pairs) for name, pairs in before_and_after.items()},
        gained={name: sum(now and not was for was, now in pairs) for name, pairs in before_and_after.items()},
        followed=100 * followed / n,
        area=100 * area / n,
        energy=100 * sum(share for share, _ in measured) / len(measured) if measured else None,
        pointing=100 * sum(hit for _, hit in measured) / len(measured) if measured else None,
        blank=len(shares) - len(measured),
    )


def saliency_on_foreground(saliency: Tensor, mask: Tensor) -> tuple[float, bool] | None:
    """The share of `saliency` `(H, W)` on the foreground of `mask` `(1, H, W)`, and whether its maximum (any of several
    equal ones) is there; None if the saliency is zero everywhere."""
    saliency = saliency.double()
    if not saliency.amax() > 0:
        return None
    share = mask[0].double() / 255
    return float((saliency * share).sum() / saliency.sum()), bool((share[saliency == saliency.amax()] >= 0.5).any())


def _image_and_mask(image: DecodedImage) -> tuple[Tensor, Tensor]:
    assert image.mask is not None, "an image without a mask"
    return image.image, image.mask
