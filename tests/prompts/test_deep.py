"""Deep tokens of both towers: per layer, independent, and never deeper than the tower."""

import pytest
import torch

from cliptune.errors import UserError
from cliptune.prompts.deep import DeepPrompts, check_depth
from tiny_clips import normal


def layers(depth, n_ctx, width, seed=0):
    return [normal(n_ctx, width, seed=seed + i) for i in range(depth)]


@pytest.mark.parametrize("text_depth", [0, 1, 3])
@pytest.mark.parametrize("image_depth", [0, 1, 4])
def test_each_tower_gets_its_own_layers(text_depth, image_depth):
    text, image = layers(text_depth, 2, 6), layers(image_depth, 3, 10, seed=9)
    learner = DeepPrompts(text, image)
    prompts = learner()
    handed = [] if prompts.text is None else [prompts.text, *prompts.text_deep]
    assert len(list(learner.parameters())) == text_depth + image_depth
    for got, start in zip([*handed, *prompts.image], [*text, *image], strict=True):
        assert isinstance(got, torch.nn.Parameter) and torch.equal(got, start)
    assert prompts.fixed_text == (text_depth == 0) and prompts.fixed_image == (image_depth == 0)


def test_initial_values_are_copied():
    starts = layers(2, 2, 6)
    learner = DeepPrompts(starts)
    for start in starts:
        start.zero_()
    assert all(p.any() for p in learner.parameters())


def test_a_depth_up_to_the_towers_is_fine():
    check_depth(4, 4, "text", "toy")
    with pytest.raises(UserError, match="a depth of 5 is more than the 4 layers of the text tower.*decrease it"):
        check_depth(5, 4, "text", "toy")
