"""Decode uploaded images, and compute what requests ask a tuned model for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from cliptune.data.image_io import image_header, read_image_bytes
from cliptune.data.range_warnings import collect_assumed_ranges
from cliptune.data.read_errors import UnreadableImageError
from cliptune.data.transforms import evaluation_view, standardise
from cliptune.engine.nan_checks import check_logits
from cliptune.serving.limits import Limits
from cliptune.tuned import Tuned
from cliptune.types import DecodedImage

#: Formats that are decoded. Others that Pillow knows are rare, and some run other programs.
FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "QOI", "TGA", "TIFF", "WEBP")
#: Number of lists of class names whose text features are kept, the most recently used ones.
MAX_CLASS_LISTS = 16


@dataclass(frozen=True)
class Query:
    """What is computed: probabilities, image features or text features, for class names; () for those of the run."""

    kind: Literal["probabilities", "image_features", "text_features"]
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decoded:
    """A decoded image file, and what was assumed about its value range, or ""."""

    image: DecodedImage
    note: str = ""


def decode_image(content: bytes, name: str, limits: Limits) -> Decoded:
    """Decode an image file. Raises `UnreadableImageError` for files that are no image, damaged or beyond a limit."""
    if len(content) > limits.file_bytes:
        size = f"{len(content) / (1 << 20):.1f} MiB"
        raise UnreadableImageError(name, f"has {size}, more than the {limits.max_file_mib:g} MiB that are read")
    kind, width, height = image_header(content, name)
    if kind not in FORMATS:
        raise UnreadableImageError(name, f"has the format {kind}, which is not read (convert it to PNG or JPEG)")
    if width * height > limits.pixels:
        pixels, most = f"{width * height / 1e6:.3g} million pixels", f"{limits.max_megapixels:g} million"
        raise UnreadableImageError(name, f"has {pixels}, more than the {most} that are read (save it smaller)")
    with collect_assumed_ranges() as assumed:
        image = read_image_bytes(content, name)
    return Decoded(image, "; ".join(note for _, note in assumed))


class Classifier:
    """A tuned model that answers queries for several images.

    `view` may be called by several threads at a time, `compute` and `with_classes` by one.
    """

    def __init__(self, tuned: Tuned):
        self.tuned, self.temperature = tuned, tuned.temperature
        self._others: OrderedDict[tuple[str, ...], Tuned] = OrderedDict()

    def view(self, decoded: Decoded) -> Tensor:
        """The view of an image that the model gets, uint8 `(3, height, width)`."""
        preprocess, augment = self.tuned.model.backbone.preprocess, self.tuned.run.training.augment
        return evaluation_view(to_pil_image(decoded.image.image), preprocess, augment)

    def is_calibrated(self, classes: Sequence[str] = ()) -> bool:
        """Whether probabilities are calibrated: the temperature is for the classes of training."""
        return self.temperature is not None and (not classes or tuple(classes) == self.tuned.classnames)

    def notes(self, classes: Sequence[str]) -> list[str]:
        """Sentences about other class names that the backbone does not know."""
        backbone = self.tuned.model.backbone
        others = [name for name in classes if name not in self.tuned.model.trained]
        return [f"backbone {backbone.name!r} {text}" for text in backbone.prompt_tokenizer.name_problems(others)]

    @torch.no_grad()
    def compute(self, query: Query, views: Sequence[Tensor]) -> list[Any]:
        """A list of floats per view, for the class names: probabilities, or features. For text features, `views` are
        placeholders, and each result is a list of floats per class.

        Raises `UserError` if the method cannot be applied to the class names, or has no such features.
        """
        model = self.with_classes(query.classes)
        if query.kind == "text_features":
            return [model.text_features().tolist()] * len(views)
        backbone = model.model.backbone
        pixels = torch.stack(list(views)).to(backbone.logit_scale.device)
        images = {"image": standardise(pixels, backbone.preprocess.mean, backbone.preprocess.std)}
        if query.kind == "image_features":
            return model.model.encode_views(images, model.model.prompts())["image"].tolist()
        logits = check_logits(model.model(images).logits[:, : len(model.classnames)])
        if self.temperature is not None and self.is_calibrated(query.classes):
            logits = logits / self.temperature.temperature
        return logits.softmax(-1).tolist()

    def with_classes(self, classes: tuple[str, ...]) -> Tuned:
        """The model for class names; () for those of the run. Raises `UserError` if the method cannot take them."""
        if not classes or classes == self.tuned.classnames:
            return self.tuned
        model = self._others.pop(classes, None) or self.tuned.with_classes(classes)
        self._others[classes] = model
        if len(self._others) > MAX_CLASS_LISTS:
            self._others.popitem(last=False)
        return model
