"""From the output of a tower to normalised features and logits."""

import torch

from cliptune.backbones import features
from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.types import Prompts
from tiny_clips import normal


def unit(x):
    return x / x.square().sum(-1, keepdim=True).sqrt()


def text(n, per_class):
    return TokenizedText(torch.zeros(n, 4, dtype=torch.long), torch.full((n, 4), -1), torch.zeros(n), per_class)


def test_texts_of_a_class_are_averaged_between_two_normalisations():
    raw = normal(6, 8) * torch.arange(1, 7)[:, None]
    got = features.text_features(raw, text(6, per_class=3))
    assert torch.allclose(got, unit(torch.stack([unit(raw[:3]).mean(0), unit(raw[3:]).mean(0)])), atol=1e-6)
    assert torch.allclose(features.text_features(raw, text(6, per_class=1)), unit(raw), atol=1e-6)


def test_adapted_features_are_normalised():
    raw, prompts = normal(4, 8), Prompts(adapt_image=lambda x: x + 2, adapt_text=lambda x: x - 3)
    assert torch.allclose(features.image_features(raw, prompts), unit(raw + 2), atol=1e-6)
    assert torch.allclose(features.text_features(raw, text(4, 1), prompts), unit(raw - 3), atol=1e-6)


def test_half_precision_is_normalised_in_single():
    raw = (1000 * normal(2, 8)).half()
    assert torch.allclose(features.normalise(raw), unit(raw.float()), atol=1e-6)


def test_logits_are_scaled_cosines_and_a_bias():
    image, shared, each = unit(normal(2, 8)), unit(normal(3, 8, seed=1)), unit(normal(2, 3, 8, seed=2))
    scale, bias = torch.tensor(100.0), torch.tensor(-10.0)
    for got, wanted in (
        (features.scaled_cosines(image, shared, scale, None), 100 * torch.einsum("bd,cd->bc", image, shared)),
        (features.scaled_cosines(image, each, scale, bias), 100 * torch.einsum("bd,bcd->bc", image, each) - 10),
    ):
        assert torch.allclose(got, wanted, atol=1e-4)
