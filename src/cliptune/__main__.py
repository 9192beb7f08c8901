"""`python -m cliptune` is the same as `cliptune`."""

import os
import sys

# `python -m` puts the current folder first in sys.path, where a torch.py among the data would be imported.
sys.path[:] = [place for place in sys.path if place not in ("", os.getcwd())]

from cliptune.cli import main  # noqa: E402

if __name__ == "__main__":
    raise SystemExit(main())
