"""Pretrains the CLIP for photographs: `python pretrain.py --work PREPARED --out RUN`; resumes from RUN/last.pt.

Set OMP_WAIT_POLICY=PASSIVE on a shared machine. PREPARED is the output of `prepare.py`.
"""

from __future__ import annotations

from pathlib import Path

from photographs import Photographs
from towers import CONFIG

from training import run


def build(work: Path, recipe: dict) -> Photographs:
    """The training data at the size of the model's images."""
    return Photographs(work, recipe, CONFIG["vision_cfg"]["image_size"])


if __name__ == "__main__":
    run(build, CONFIG, Path(__file__).resolve().parent / "recipe.yaml", __doc__)
