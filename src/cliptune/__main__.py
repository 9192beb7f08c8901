"""`python -m cliptune` is `cliptune`."""

from cliptune.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
