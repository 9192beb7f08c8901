"""Tip-Adapter: a training-free cache of training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from cliptune import checks
from cliptune.backbones.features import normalise, scaled_cosines
from cliptune.errors import UserError
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.types import Batch, Example, Outputs, State, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.adapters.key_value_cache import KeyValueCache
    from cliptune.backbones.backbone import Backbone
    from cliptune.data.loader import ExampleSet
    from cliptune.data.transforms import RandomCropFlip
    from cliptune.model.tuned_model import TunedModel

#: Range of the relative area of random crops, as in the released code.
CROP_SCALE = (0.5, 1.0)
#: The authors' search grid for ImageNet: number of values from `LEAST` up to the largest, which is excluded.
LEAST = 0.1
BETAS, LARGEST_BETA = 200, 7.0
ALPHAS, LARGEST_ALPHA = 20, 3.0


@dataclass(frozen=True)
class TipAdapter(Method):
    """A key-value cache of training images: similarities to them are added to the logits of their classes.

    Zhang et al., Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification, ECCV 2022,
    https://arxiv.org/abs/2207.09519. Checked against Tip-Adapter 327763e. Trains nothing. Classes that are not in
    the cache keep CLIP's logits, so new class names are accepted.
    """

    alpha: float = 1.0
    """Weight of the cache logits."""
    beta: float = 5.5
    """Sharpness of the similarity."""
    crops: int = 10
    """Number of random crops whose mean feature is the key of an image; 0 uses the evaluation transform."""
    search: bool = False
    """Choose alpha and beta on the validation images, as the authors do for their results."""

    trains = False

    def __post_init__(self):
        checks.at_least(self, 0, "alpha", "beta", "crops")

    def unused_fields(self) -> dict[str, str]:
        return dict.fromkeys(("alpha", "beta"), "search chooses it") if self.search else {}

    @property
    def validation_use(self) -> str:  # type: ignore[override]
        return "search" if self.search else ""

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.adapters.key_value_cache import KeyValueCache

        return KeyValueCache(classnames, backbone.embed_dim, self.alpha, self.beta, learned=False)

    def prepare(self, model: TunedModel, task: Task) -> Any:
        self.fill_cache(model, task)
        if self.search:
            search_hyperparameters(model, *validation_features(model, task))

    def fill_cache(self, model: TunedModel, task: Task) -> None:
        """Fill the model's cache with features of the training images, averaged over crops, then normalised."""
        import torch

        from cliptune.data.transforms import RandomCropFlip

        if not task.train:
            raise UserError(
                "Tip-Adapter needs training images, but there are none; use zeroshot to evaluate without training"
            )
        preprocess = model.backbone.preprocess
        crop = RandomCropFlip(preprocess.size, scale=CROP_SCALE, interpolation=preprocess.interpolation)
        augment = crop if self.crops else None
        images = example_set(model, task, task.train, augment)
        keys = [encode_examples(model, images, crop) for crop in range(max(1, self.crops))]
        cache_of(model).fill(normalise(torch.stack(keys).mean(0)), example_labels(model, task.train))

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return {"ce": classification_loss(out.logits, batch)}


def cache_of(model: TunedModel) -> KeyValueCache:
    """The model's learner."""
    return cast("KeyValueCache", model.learner)


def example_set(
    model: TunedModel, task: Task, chosen: Sequence[Example], augment: RandomCropFlip | None = None
) -> ExampleSet:
    """Some examples of the task with the backbone's preprocessing."""
    from cliptune.data.loader import ExampleSet

    return ExampleSet(task.dataset, chosen, model.backbone.preprocess, augment=augment, seed=task.seed)


def encode_examples(model: TunedModel, images: ExampleSet, crop: int = 0) -> Tensor:
    """Un-normalised image features `(n, d)` in the order of the examples.

    crop: Index of the random crop, if `images` augments.
    """
    import torch

    batches = images.in_order(64, model.backbone.logit_scale.device, epoch=crop)
    with torch.no_grad():
        return torch.cat([model.backbone.encode_image(batch.images).float() for batch in batches])


def example_labels(model: TunedModel, chosen: Sequence[Example]) -> Tensor:
    """Labels `(n,)` on the model's device."""
    import torch

    return torch.tensor([e.label for e in chosen], device=model.backbone.logit_scale.device)


def validation_features(model: TunedModel, task: Task) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised features `(v, d)`, CLIP's logits `(v, C)` and labels `(v,)` of the validation images."""
    import torch

    if not task.val:
        raise UserError(f"search needs validation images, but {task.name} has none; give alpha and beta instead")
    image = normalise(encode_examples(model, example_set(model, task, task.val)))
    backbone = model.backbone
    with torch.no_grad():
        logits = scaled_cosines(image, model.encode_classes()[0], backbone.logit_scale, backbone.logit_bias)
    return image, logits, example_labels(model, task.val)


def search_hyperparameters(model: TunedModel, image: Tensor, logits: Tensor, wanted: Tensor) -> None:
    """Set alpha and beta to the best of the authors' grid, by accuracy on the validation images."""
    alphas, betas = (
        [LEAST + i * (largest - LEAST) / count for i in range(count)]
        for count, largest in ((ALPHAS, LARGEST_ALPHA), (BETAS, LARGEST_BETA))
    )
    cache_of(model).search(image, logits, wanted, alphas, betas)
