"""Tip-Adapter: training pictures are remembered, and nothing is trained."""

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

#: Crops of the remembered pictures keep at least half of the area, as the authors' do.
CROP_SCALE = (0.5, 1.0)
#: The authors' grid for ImageNet: so many values from the least on, the largest left out.
LEAST = 0.1
BETAS, LARGEST_BETA = 200, 7.0
ALPHAS, LARGEST_ALPHA = 20, 3.0


@dataclass(frozen=True)
class TipAdapter(Method):
    """A cache of training pictures: their nearness to a picture is added to the logits of their classes.

    Zhang et al., Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification, ECCV 2022,
    https://arxiv.org/abs/2207.09519. Checked against Tip-Adapter 327763e. Learns nothing. Classes that are not in the
    cache keep CLIP's logits, so it takes new class names.
    """

    alpha: float = 1.0
    """Weight of what is remembered."""
    beta: float = 5.5
    """How fast nearness fades with distance."""
    crops: int = 10
    """Random crops of a picture whose mean is its key; 0 takes the picture as tests see it."""
    search: bool = False
    """Choose alpha and beta on the validation pictures, as the authors do for their results."""

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
        self.remember(model, task)
        if self.search:
            search_hyperparameters(model, *validation_features(model, task))

    def remember(self, model: TunedModel, task: Task) -> None:
        """Fill the model's cache: features of the training pictures, averaged over crops, then normalised."""
        import torch

        from cliptune.data.transforms import RandomCropFlip

        if not task.train:
            raise UserError("Tip-Adapter remembers training pictures, but there are none; use zeroshot to test alone")
        preprocess = model.backbone.preprocess
        crop = RandomCropFlip(preprocess.size, scale=CROP_SCALE, interpolation=preprocess.interpolation)
        augment = crop if self.crops else None
        pictures = example_set(model, task, task.train, augment)
        keys = [encode_examples(model, pictures, crop) for crop in range(max(1, self.crops))]
        cache_of(model).fill(normalise(torch.stack(keys).mean(0)), example_labels(model, task.train))

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return {"ce": classification_loss(out.logits, batch)}


def cache_of(model: TunedModel) -> KeyValueCache:
    """The model's learner."""
    return cast("KeyValueCache", model.learner)


def example_set(
    model: TunedModel, task: Task, chosen: Sequence[Example], augment: RandomCropFlip | None = None
) -> ExampleSet:
    """Some of the task's pictures as the backbone reads them."""
    from cliptune.data.loader import ExampleSet

    return ExampleSet(task.dataset, chosen, model.backbone.preprocess, augment=augment, seed=task.seed)


def encode_examples(model: TunedModel, pictures: ExampleSet, crop: int = 0) -> Tensor:
    """What the image tower says of all pictures in their order, `(n, d)`, not normalised."""
    import torch

    batches = pictures.in_order(64, model.backbone.logit_scale.device, epoch=crop)
    with torch.no_grad():
        return torch.cat([model.backbone.encode_image(batch.images).float() for batch in batches])


def example_labels(model: TunedModel, chosen: Sequence[Example]) -> Tensor:
    """`(n,)` on the model's device."""
    import torch

    return torch.tensor([e.label for e in chosen], device=model.backbone.logit_scale.device)


def validation_features(model: TunedModel, task: Task) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised features `(v, d)` of the validation pictures, CLIP's logits of them `(v, C)`, their labels `(v,)`."""
    import torch

    if not task.val:
        raise UserError(f"search needs validation pictures, but {task.name} has none; give alpha and beta instead")
    image = normalise(encode_examples(model, example_set(model, task, task.val)))
    backbone = model.backbone
    with torch.no_grad():
        logits = scaled_cosines(image, model.encode_classes()[0], backbone.logit_scale, backbone.logit_bias)
    return image, logits, example_labels(model, task.val)


def search_hyperparameters(model: TunedModel, image: Tensor, logits: Tensor, wanted: Tensor) -> None:
    """Take the alpha and beta that suit the validation pictures best, in the authors' grid."""
    alphas, betas = (
        [LEAST + i * (largest - LEAST) / count for i in range(count)]
        for count, largest in ((ALPHAS, LARGEST_ALPHA), (BETAS, LARGEST_BETA))
    )
    cache_of(model).choose(image, logits, wanted, alphas, betas)
