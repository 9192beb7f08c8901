"""Segmenters that are told in words what to look for: CLIPSeg, SAM 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cliptune.errors import UserError
from cliptune.segmentation.make import SegmentationResults, Segmenter, classes_in, read_images
from cliptune.segmentation.pretrained import ModelFamily, PretrainedModel
from cliptune.types import Example

if TYPE_CHECKING:
    from cliptune.data.dataset import Dataset

CLIPSEG = ModelFamily(
    "clipseg", "CIDAS/clipseg-rd64-refined", "CLIPSegForImageSegmentation", "CLIPSegProcessor", ("clipseg",)
)
SAM3 = ModelFamily("sam3", "facebook/sam3", "Sam3Model", "Sam3Processor", ("sam3", "sam3_video"))


class TextSegmenter(Segmenter):
    """A map of where the picture shows what a sentence with its class name says; of several classes, any of them.

    Args: prompt: the sentence, with one {} for the name; where left out, SAM 3 is told the bare name, as it was trained
    on noun phrases, and CLIPSeg the dataset's own template, as it was trained on such sentences.
    """

    def __init__(self, loaded: PretrainedModel, prompt: str = ""):
        if prompt and prompt.count("{}") != 1:
            raise UserError(f"prompt {prompt!r} needs exactly one {{}} where the class name goes")
        self.loaded = loaded
        self.prompt = prompt or ("{}" if loaded.kind == SAM3 else "")
        self.threshold = 0.4 if loaded.kind == CLIPSEG else 0.5
        self.about = {"with": loaded.kind.name, "model": loaded.name, "prompt": self.prompt or "template"}

    def segment(self, dataset: Dataset, examples: Sequence[Example]) -> SegmentationResults:
        seen, images, unread = read_images(dataset, examples)
        yield from ((example, unread[example.key]) for example in examples if example.key in unread)
        template = self.prompt or dataset.templates[0]
        words = [[template.replace("{}", name) for _, name in classes_in(dataset, e)] for e in seen]
        repeated = [image for image, few in zip(images, words, strict=True) for _ in few]
        logits = self._logits(repeated, [word for few in words for word in few]) if seen else torch.empty(0)
        parts = logits.split([len(few) for few in words])
        for example, image, part in zip(seen, images, parts, strict=True):
            whole = F.interpolate(part[None], image.shape[-2:], mode="bilinear")
            yield example, whole[0].sigmoid().amax(0)

    @torch.inference_mode()
    def _logits(self, images: list[Tensor], words: list[str]) -> Tensor:
        """`(b, h, w)` of as many pictures and sentences, at the model's own size."""
        processor = self.loaded.processor
        pixels = processor.image_processor(images=images, return_tensors="pt", input_data_format="channels_first")
        # SAM 3 was trained on sentences of a fixed length and reads no longer ones.
        length: dict[str, Any] = {"padding": True}
        if self.loaded.kind == SAM3:
            length = {"padding": "max_length", "max_length": 32}
        tokens = processor.tokenizer(words, return_tensors="pt", truncation=True, **length)
        out = self.loaded.model(**self.loaded.to_inputs({**tokens, "pixel_values": pixels["pixel_values"]}))
        logits = out.semantic_seg if self.loaded.kind == SAM3 else out.logits
        return logits.reshape(len(images), *logits.shape[-2:]).float()
