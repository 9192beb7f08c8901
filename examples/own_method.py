"""A method in a few lines: label smoothing around any other method.

    python examples/own_method.py coop --smoothing 0.2

From the command line, a class in a file of the current folder is a method as well:

    cd examples && cliptune train "coop+own_method:Smoothed" --smoothing 0.2
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field

import cliptune as ct
from cliptune import checks, methods
from cliptune.methods.coop import CoOp
from cliptune.model.method import Method
from cliptune.model.wrapper import Wrapper


@dataclass(frozen=True)
class Smoothed(Wrapper):
    """A penalty on confident predictions, as label smoothing has it.

    Szegedy et al., Rethinking the Inception Architecture, CVPR 2016, https://arxiv.org/abs/1512.00567. Trains what
    `base` trains.
    """

    base: Method = field(default_factory=CoOp)
    """The method to wrap."""
    smoothing: float = 0.1
    """Weight of the penalty."""

    def __post_init__(self):
        super().__post_init__()
        checks.at_least(self, 0, "smoothing")

    def losses(self, out, batch, state):
        penalty = -out.logits.log_softmax(-1).mean()
        return {**self.base.losses(out, batch, state), "smoothing": self.smoothing * penalty}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", nargs="?", default="coop")
    parser.add_argument("--data", default="emoji:classes=validation,test_per_class=2,train_per_class=4")
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()

    method = Smoothed(methods.build(options.base), smoothing=options.smoothing)
    run = ct.train(method, options.data, shots=options.shots, epochs=options.epochs, cached_views=0, augment="none")
    assert run.result is not None
    for epoch in run.result.history:  # one row per epoch with the mean of each loss
        print({name: round(value, 4) for name, value in epoch.items()})
    print("accuracy:", round(run.result.metrics["test"], 1), "%")


if __name__ == "__main__":
    main()
