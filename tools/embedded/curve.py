"""Draws `curve.png` from a run's log: `python curve.py RUN/log.jsonl curve.png`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402

#: Columns of the log that are not accuracies.
OTHER = ("step", "images", "seconds", "loss", "scale")
#: Accuracies drawn as dotted lines: the background is named, not the class.
DOTTED = " background"
#: Strong colours first, then lighter ones.
COLOURS = [*plt.get_cmap("tab20").colors[::2], *plt.get_cmap("tab20").colors[1::2]]  # type: ignore[attr-defined]


def main() -> None:
    """Loss on the left; each accuracy of the log on the right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("image", type=Path)
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.log.read_text().splitlines()]
    steps = [row["step"] for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 3.8), layout="constrained")
    left.plot(steps, [row["loss"] for row in rows], color="0.2")
    left.set(xlabel="step", ylabel="contrastive loss", ylim=0)
    names = [name for name in rows[-1] if name not in OTHER]
    colours: dict[str, tuple] = {}
    for name in names:
        colour = colours.setdefault(name.removesuffix(DOTTED), COLOURS[len(colours) % len(COLOURS)])
        dotted = name.endswith(DOTTED)
        right.plot(steps, [row[name] for row in rows], color=colour, label=name, ls=":" if dotted else "-", lw=1.3)
    right.set(xlabel="step", ylabel="zero-shot top-1, %", ylim=(0, 100))
    right.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.savefig(args.image, dpi=110)


if __name__ == "__main__":
    main()
