"""A training step reads one thing from the device, the losses, once; only the first with new texts reads more."""

import pytest

import tiny_clips
from contracts.test_methods import TRAINING, suited
from host_reads import in_each_step
from tiny_tasks import model, task

#: Methods of all kinds of prompts, changes and losses.
NAMES = ["coop", "cocoop", "kgcoop", "maple", "promptsrc", "clip_lora", "tip_adapter_f", "maple+dapt", "coop+dept"]
LOSSES = "tolist: nan_checks.check_losses"


def reads(name: str) -> list[list[str]]:
    toy = task()
    steps = in_each_step(model(suited(name), tiny_clips.backbone("deep_image"), toy), toy, TRAINING)
    assert len(steps) == 6 and all(LOSSES in step for step in steps)
    return steps


@pytest.mark.parametrize("name", NAMES)
def test_one_read_of_the_losses_per_step(name):
    steps = reads(name)
    assert len(steps[0]) > 1, "index tensors of the texts"
    # A wrapper has other texts in its second phase.
    assert sum(step != [LOSSES] for step in steps) <= 1 + ("dapt" in name) and steps[-1] == [LOSSES]


def test_dpl_also_loads_its_validation_batch():
    """By a number of steps that is part of the learner, so that an interrupted search continues."""
    for step in reads("dpl")[1:]:
        assert {found.split(": ")[1] for found in step} <= {
            *("nan_checks.check_losses", "length_search.steps", "dpl._validation", "transforms.<genexpr>")
        }
