"""`python -m cliptune` is `cliptune`."""

import os
import sys

# `python -m` searches the current folder first, where data lies: a torch.py beside pictures is none of ours.
sys.path[:] = [place for place in sys.path if place not in ("", os.getcwd())]

from cliptune.cli import main  # noqa: E402

if __name__ == "__main__":
    raise SystemExit(main())
