"""Methods and recorded cases on a device other than the CPU, which `pretend_device` stands in for.

The device is registered for good, so everything runs in processes of its own (`contracts.on_pretend_device`).
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from contracts.test_methods import OTHERS, USUAL, refusal
from golden.case import recordings

TESTS = Path(__file__).parents[1]
#: A teacher that shares the student's backbone, masks from the model itself, a cache that grows, a generator.
FEW = ("promptkd", "maple+dapt:gradcam", "tip_adapter_f", "clip_lora", "case:coop_end_ctx4_words")
CASES = [f"case:{path.parent.name}" for path in sorted(recordings().glob("*/case.json"))]
#: Lines that wait for the device in every step: the losses are checked and reported.
REPORTING = "nan_checks.py"


def on_device(names: list[str]) -> dict[str, tuple[str, dict[str, int]]]:
    """What differs or fails on the device, and the waits of a step, by name."""
    command = [sys.executable, "-m", "contracts.on_pretend_device", *names]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name: (outcome, waits) for name, outcome, waits in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def few():
    return on_device(list(FEW))


@pytest.mark.parametrize("name", FEW)
def test_the_same_numbers_as_on_the_cpu(few, name):
    assert few[name][0] == ""


@pytest.mark.parametrize("name", [name for name in FEW if not name.startswith("case:")])
def test_only_losses_and_towers_wait_for_the_device_in_a_step(few, name):
    """Reading, moving and normalising a batch, the losses' own arithmetic and the optimiser do not."""
    waiting = {
        line for line in few[name][1] if not line.startswith((REPORTING, "packed_", "tokenized_text", "saliency_"))
    }
    assert waiting == set()


@pytest.mark.slow
@pytest.mark.parametrize("part", range(12))
def test_every_method_and_wrapper(part):
    names = [name for name in [*USUAL, *OTHERS] if not refusal(name)][part::12]
    assert {name: outcome for name, (outcome, _) in on_device(names).items() if outcome} == {}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
def test_every_recorded_case(part):
    assert {name: outcome for name, (outcome, _) in on_device(CASES[part::6]).items() if outcome} == {}


MIXED = """
import torch
from pretend_device import PretendDevice, device
with PretendDevice() as mode:
    x, here = torch.ones(3, device=device()), torch.ones(3)
    for mix in (lambda: x + here, lambda: torch.cat([x, here]), lambda: here[x.long()], lambda: x @ here):
        try:
            mix()
        except RuntimeError as error:
            assert "same device" in str(error)
        else:
            raise SystemExit("devices were mixed")
    try:
        torch.rand(3, generator=torch.Generator(), device=device())
    except RuntimeError as error:
        assert "generator" in str(error)
    else:
        raise SystemExit("a generator of the CPU was accepted")
    assert not mode.waits and (x * 2 + torch.tensor(1.0)).sum().item() == 9 and x[[0, 2]].shape == (2,)
    assert sum(mode.waits.values()) == 2, mode.waits  # the item, and the indices from the CPU
"""


def test_the_device_refuses_what_a_gpu_refuses():
    done = subprocess.run([sys.executable, "-c", MIXED], cwd=TESTS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.gpu
@pytest.mark.parametrize("name", CASES)
def test_recorded_cases_on_a_gpu(name):
    from golden.check import check

    code, lines = check(recordings() / name.removeprefix("case:"), device=torch.device("cuda"))
    assert code == 0, "\n".join(lines)
