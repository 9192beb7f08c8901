"""How much a classifier owes to backgrounds: its accuracy without them or with others, and where it looks.

Everything here takes pictures, masks and functions that answer for a model; which model it is, nothing knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cliptune.analysis.background_conditions import CONDITIONS, apply_conditions
from cliptune.types import DecodedImage

if TYPE_CHECKING:
    from torch import Tensor

    #: Pictures of any sizes, uint8 `(3, H, W)` -> logits `(n, C)`.
    Logits = Callable[[Sequence[Tensor]], Tensor]
    #: The same and a class for each -> maps `(H, W)` of where it is seen, none negative, each of its picture's size.
    Saliency = Callable[[Sequence[Tensor], Sequence[int]], Sequence[Tensor]]


@dataclass(frozen=True)
class Reliance:
    """What was measured on `pictures` pictures; shares in percent.

    accuracy: of each condition. lost, gained: pictures that were right as they are and became wrong, and the reverse.
    followed: swapped pictures that were given the class whose background they got. energy: share of the saliency that
    lies on the foreground; pointing: pictures whose most salient pixel does; both None where there is no saliency.
    area: share of the pictures that is foreground, which is what saliency spread evenly would get. blank: pictures
    without any saliency, left out of both.
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

    def drop(self, condition: str) -> tuple[float, float]:
        """Points of accuracy lost from the original to `condition`, and their standard error.

        Both are seen on the same pictures, so only those that change sides count.
        """
        lost, gained, n = self.lost[condition], self.gained[condition], self.pictures
        return 100 * (lost - gained) / n, 100 * math.sqrt(lost + gained - (lost - gained) ** 2 / n) / n


def draw_donors(classes: Sequence[frozenset[int]], seed: int) -> list[int]:
    """For each picture one that shows none of its classes, drawn evenly among these; the same for the same seed.

    Raises `ValueError` where some picture has no such other.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, len(classes)]))
    found = []
    for own in classes:
        for _ in range(64):
            other = int(generator.integers(len(classes)))
            if not own & classes[other]:
                break
        else:  # rare ones are looked for, instead of waited for
            others = [i for i, shown in enumerate(classes) if not own & shown]
            if not others:
                raise ValueError("all pictures show one class, so that none can lend another its background")
            other = others[int(generator.integers(len(others)))]
        found.append(other)
    return found


def compute_reliance(
    pictures: Sequence[DecodedImage] | Callable[[int], DecodedImage],
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
    """The reliance of a model on backgrounds.

    pictures: with masks, each with some foreground and some background; or a function of the position that reads one.
    classes: those that each picture shows. mean: the colour in [0, 1] of removed backgrounds. seed: decides which
    picture lends its background. true: saliency is that of the true class (the lowest, where there are several), not
    of the predicted one. tick: told how many pictures are done after each batch.
    """
    read = pictures if callable(pictures) else pictures.__getitem__
    lender = draw_donors(classes, seed)
    right: dict[str, list[bool]] = {name: [] for name in CONDITIONS}
    followed, area = 0, 0.0
    seen: list[tuple[float, bool] | None] = []
    for start in range(0, len(classes), batch_size):
        chosen = range(start, min(start + batch_size, len(classes)))
        held = [_image_and_mask(read(i)) for i in chosen]
        lent = [_image_and_mask(read(lender[i])) for i in chosen]
        made = [apply_conditions(*own, *other, mean) for own, other in zip(held, lent, strict=True)]
        answers = {name: logits([one[name] for one in made]).argmax(1).tolist() for name in CONDITIONS}
        for name, given in answers.items():
            right[name] += [answer in classes[i] for answer, i in zip(given, chosen, strict=True)]
        followed += sum(a in classes[lender[i]] for a, i in zip(answers["swapped"], chosen, strict=True))
        area += sum(float(mask.double().mean()) for _, mask in held) / 255
        if saliency is not None:
            labels = [min(classes[i]) for i in chosen] if true else answers["original"]
            maps = saliency([image for image, _ in held], labels)
            seen += [saliency_on_foreground(where, mask) for where, (_, mask) in zip(maps, held, strict=True)]
        if tick is not None:
            tick(len(chosen))
    n = len(classes)
    changed = {name: list(zip(right["original"], now, strict=True)) for name, now in right.items()}
    looked = [one for one in seen if one is not None]
    return Reliance(
        pictures=n,
        accuracy={name: 100 * sum(now) / n for name, now in right.items()},
        lost={name: sum(was and not now for was, now in pairs) for name, pairs in changed.items()},
        gained={name: sum(now and not was for was, now in pairs) for name, pairs in changed.items()},
        followed=100 * followed / n,
        area=100 * area / n,
        energy=100 * sum(share for share, _ in looked) / len(looked) if looked else None,
        pointing=100 * sum(hit for _, hit in looked) / len(looked) if looked else None,
        blank=len(seen) - len(looked),
    )


def saliency_on_foreground(where: Tensor, mask: Tensor) -> tuple[float, bool] | None:
    """Of saliency `(H, W)` the share that lies on the foreground of `mask` `(1, H, W)`, and whether its maximum does
    (any of them, where several are equal); None of a map that is nowhere above zero."""
    where = where.double()
    if not where.amax() > 0:
        return None
    share = mask[0].double() / 255
    return float((where * share).sum() / where.sum()), bool((share[where == where.amax()] >= 0.5).any())


def _image_and_mask(picture: DecodedImage) -> tuple[Tensor, Tensor]:
    assert picture.mask is not None, "a picture without a mask"
    return picture.image, picture.mask
