"""Compare methods under the base-to-novel protocol: train on half of the classes, test on both halves.

    python examples/base_to_novel.py --data oxford_pets --root /data --backbone ViT-B-16 --pretrained openai --shots 16

The same as `cliptune run base-to-novel`, in Python. Without arguments, it uses the bundled drawings and backbone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cliptune import presets, sweep
from cliptune.data.config import DataConfig
from cliptune.results import summary, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["zeroshot", "coop", "kgcoop"])
    parser.add_argument("--data", default="emoji:classes=validation,test_per_class=2,train_per_class=4")
    parser.add_argument("--root", default="")
    parser.add_argument("--backbone", default="auto")
    parser.add_argument("--pretrained", default="")
    parser.add_argument("--shots", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/base-to-novel"))
    options = parser.parse_args()

    # A preset contains the published settings of a method for the protocol.
    fields = {
        "protocol": "base_to_novel",
        "data": options.data,
        "reading": DataConfig(root=options.root),
        "backbone": options.backbone,
        "pretrained": options.pretrained,
        "shots": options.shots,
    }
    runs = [(method, presets.get(method, **fields)) for method in options.methods]
    # One folder per method and seed. Finished runs are not repeated.
    results = sweep.run_jobs(sweep.plan_jobs(runs, options.seeds, options.out))
    # "hm" is the harmonic mean of base and novel accuracy.
    print(table.to_markdown(summary.summarise(results, ["base", "novel", "hm"])))


if __name__ == "__main__":
    main()
