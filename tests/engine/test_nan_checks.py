"""The first non-finite tensor is named, in the order of computation of a training step."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from cliptune.engine.nan_checks import check_losses, check_parameters
from cliptune.errors import UserError
from cliptune.types import Outputs, Prompts

ORDER = [
    "learned tensor 'first'",
    "learned tensor 'second'",
    "text features",
    "features of extra prompts",
    "image feature 'image'",
    "image feature 'background'",
    "logits",
    "loss 'ce'",
    "loss 'pull_push'",
]


def step(poisoned=(), value=float("nan")):
    """Losses, outputs and model whose tensors at the given places contain `value`."""
    tensors = [torch.ones(2, 3) for _ in ORDER[:-2]] + [torch.tensor(1.0), torch.tensor(2.0)]
    for place in poisoned:
        tensors[place].view(-1)[-1] = value
    first, second, text, extra_text, image, background, logits, ce, pull_push = tensors
    learner = nn.ParameterDict({"first": nn.Parameter(first), "second": nn.Parameter(second)})
    views = {"image": image, "background": background}
    out = Outputs(views, text, torch.tensor(1.0), logits, Prompts(), extra_text)
    return {"ce": ce, "pull_push": pull_push}, out, SimpleNamespace(learner=learner)


def test_finite_losses_are_returned_as_numbers():
    assert check_losses(*step()) == {"ce": 1.0, "pull_push": 2.0}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", range(len(ORDER)))
def test_the_first_in_order_is_named(place, value):
    poisoned = {place, len(ORDER) - 2, len(ORDER) - 1} if place < len(ORDER) - 1 else {place}
    with pytest.raises(UserError, match=f"^{ORDER[place]} is no longer finite; lower lr"):
        check_losses(*step(poisoned, value))


def test_without_extra_prompts():
    losses, out, model = step({len(ORDER) - 1})
    with pytest.raises(UserError, match="loss 'pull_push'"):
        check_losses(losses, Outputs(out.image, out.text, out.logit_scale, out.logits, Prompts()), model)


def test_after_a_step_only_learned_tensors_are_checked():
    check_parameters(step({2, 3, 4, 5, 6, 7, 8})[2])
    with pytest.raises(UserError, match="learned tensor 'second' is no longer finite"):
        check_parameters(step({1})[2])
