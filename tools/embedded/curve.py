"""Draws `curve.png` from a run's log: `python curve.py RUN/log.jsonl curve.png`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402


def main() -> None:
    """Loss on the left; accuracy on validation classes and naming of backgrounds on the right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("image", type=Path)
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.log.read_text().splitlines()]
    steps = [row["step"] for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    left.plot(steps, [row["loss"] for row in rows], color="0.2")
    left.set(xlabel="step", ylabel="contrastive loss", ylim=0)
    for style, colour in (("noto", "tab:green"), ("fluent-flat", "tab:orange"), ("fluent-3d", "tab:blue")):
        seen = "seen style" if style == "noto" else "held-out style"
        right.plot(steps, [row[style] for row in rows], color=colour, label=f"{style} ({seen}), 48-way")
        right.plot(steps, [row[f"{style} background"] for row in rows], color=colour, ls=":", lw=1)
    right.plot([], [], color="0.4", ls=":", lw=1, label="background named, 24-way")
    right.set(xlabel="step", ylabel="zero-shot top-1, %", ylim=(0, 100))
    right.legend(fontsize=7, loc="upper left")
    figure.savefig(args.image, dpi=110)


if __name__ == "__main__":
    main()
