"""Methods on a device other than the CPU: `python -m contracts.on_pretend_device NAME...` trains each on the pretend
device and on the CPU, and prints a line of JSON per method: its name, what differs or fails ("" if nothing), and the
lines of cliptune that wait for the device in a step, with their number. `NAME:masks` takes another source of masks;
`case:NAME` compares a recorded case (tests/golden).
"""

from __future__ import annotations

import json
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch
from lightning_fabric import Fabric

import tiny_clips
from cliptune.adapters import low_rank
from cliptune.engine.evaluate import predict_logits
from cliptune.engine.fit import fit
from cliptune.engine.watchers import Watcher
from cliptune.saliency.gradcam import gradcam
from contracts.test_methods import suited
from golden.case import recordings
from golden.check import check
from pretend_device import PretendDevice, PretendGenerator, device
from tiny_tasks import QUICK, model, task

TRAINING = replace(QUICK, epochs=2, augment="crop")
#: Largest relative difference after the training. restore amplifies rounding: on the CPU alone, start values that
#: differ by 1e-6 lead to learned tensors that differ by 3e-3, where those of maple, promptsrc or coop differ by 1e-5.
TOLERANCE, TOLERANCES = 1e-3, {"restore": 5e-3}


class OnDevice(Fabric):
    """A fabric of the CPU that says it is on `place`."""

    def __init__(self, place: torch.device):
        super().__init__(accelerator="cpu", devices=1)
        self._place = place

    @property
    def device(self) -> torch.device:
        return self._place


class StepWaits(Watcher):
    """The waits of each step, from one step's end to the next."""

    def __init__(self, waits: Counter[str]):
        self.waits, self.before, self.steps = waits, Counter[str](), list[Counter[str]]()

    def step(self, epoch, losses):
        self.steps.append(self.waits - self.before)
        self.before = self.waits.copy()


def results(name: str, place: torch.device, watchers: Sequence[Watcher] = ()) -> dict[str, torch.Tensor]:
    """Losses, learned tensors, logits and saliency maps of a method on a device."""
    toy = task(shots=2)
    backbone = tiny_clips.backbone.__wrapped__("deep_image", "torch")
    name, _, masks = name.partition(":")
    method = replace(suited(name), masks_from=masks) if masks else suited(name)  # type: ignore[call-arg]
    images, labels = tiny_clips.normal(2, 3, *backbone.preprocess.size).to(place), torch.tensor([0, 1]).to(place)
    tuned = model(method, backbone, toy).eval()
    with torch.no_grad():
        tuned({"image": images.cpu()})  # what a model keeps of it must not outlive the move
    tuned.to(place)
    history = fit(tuned, toy, TRAINING, fabric=OnDevice(place), watchers=watchers)
    found = {f"loss of epoch {row['epoch']}": torch.tensor(row["loss"]) for row in history}
    found |= {f"learned {key}": tensor.cpu() for key, tensor in tuned.learner.state_dict().items()}
    found["logits"] = predict_logits(tuned, toy.dataset, toy.tests["test"])
    if tuned.accepts_new_classes:
        found["logits of novel classes"] = predict_logits(tuned, toy.dataset, toy.tests["novel"])
    found["gradcam"] = gradcam(tuned, images, labels).cpu()
    return found


def differences(got: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], tolerance: float) -> str:
    """The tensors that differ by more than rounding."""
    apart = [] if got.keys() == wanted.keys() else [f"{sorted(got.keys() ^ wanted.keys())} on one device only"]
    for key in got.keys() & wanted.keys():
        one, other = got[key].double(), wanted[key].double()
        if one.shape != other.shape or not (one - other).abs().max() <= tolerance * other.abs().max() + 1e-6:
            apart.append(f"{key}: {one.flatten()[:3].tolist()} instead of {other.flatten()[:3].tolist()}")
    return "; ".join(apart)


def tried(name: str, place: torch.device) -> tuple[str, dict[str, int]]:
    """What differs or fails, and the waits of the last step."""
    kind, _, case = name.partition(":")
    try:
        with PretendDevice() as mode:
            if kind == "case":
                code, lines = check(recordings() / case, device=place)
                return "\n".join(lines) * bool(code), {}
            counter = StepWaits(mode.waits)
            got = results(name, place, [counter])
        apart = differences(got, results(name, torch.device("cpu")), TOLERANCES.get(kind, TOLERANCE))
        return apart, counter.steps[-1] if counter.steps else {}
    except Exception:
        return traceback.format_exc(), {}


def main() -> None:
    low_rank.Generator = PretendGenerator  # type: ignore[misc]  # the only one that is made on the device
    place = device()  # before the first backward pass, which starts a thread per device
    for name in sys.argv[1:]:
        print(json.dumps([name, *tried(name, place)]), flush=True)


if __name__ == "__main__":
    main()
