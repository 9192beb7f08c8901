"""Check that the tests notice mistakes: run each mutant, a wrong line of code, against the tests that must fail.

    python tools/mutants.py [NAME ...]

Each mutant is applied to a copy of `src`, and its tests run with that copy. The exit status is 1 if a mutant survives.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Mutant:
    """One mistake: `old`, which occurs once in `src/cliptune/<file>`, becomes `new`.

    tests: Test files under `tests/`, space-separated, at least one test of which must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = tuple(Mutant(**fields) for fields in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8")))


def mutated(mutant: Mutant, source: str) -> str:
    """The text of the mutant's file. Raises `ValueError` unless `old` occurs once."""
    if (count := source.count(mutant.old)) != 1:
        raise ValueError(f"{mutant.name}: {mutant.old!r} occurs {count} times in {mutant.file}")
    return source.replace(mutant.old, mutant.new)


def run_tests(src: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run test files with the package in `src`, up to the first failure."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *(f"tests/{t}" for t in tests)]
    environment = {**os.environ, "PYTHONPATH": str(src), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def outcome(mutant: Mutant, src: Path) -> str:
    """ "killed", "survived", or why neither is known."""
    file = src / "cliptune" / mutant.file
    before = file.read_text(encoding="utf-8")
    try:
        file.write_text(mutated(mutant, before), encoding="utf-8")
        ended = run_tests(src, mutant.tests.split())
    except ValueError as error:
        return str(error)
    finally:
        file.write_text(before, encoding="utf-8")
    known = {0: "survived", 1: "killed"}
    return known.get(ended.returncode, f"the tests did not run:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")


def main() -> int:
    names = [mutant.name for mutant in MUTANTS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all by default: {', '.join(names)}")
    chosen = parser.parse_args().names
    if unknown := set(chosen) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(names)}")
    mutants = [mutant for mutant in MUTANTS if not chosen or mutant.name in chosen]
    killed = 0
    with tempfile.TemporaryDirectory() as folder:
        src = Path(folder) / "src"
        shutil.copytree(ROOT / "src", src, ignore=shutil.ignore_patterns("__pycache__"))
        unchanged = run_tests(src, sorted({test for mutant in mutants for test in mutant.tests.split()}))
        if unchanged.returncode:
            print(unchanged.stdout, unchanged.stderr, "The tests fail without a mutant.", sep="\n")
            return 1
        for mutant in mutants:
            start = time.perf_counter()
            result = outcome(mutant, src)
            killed += result == "killed"
            print(f"{mutant.name:22} {mutant.file:34} {result} ({time.perf_counter() - start:.0f} s)", flush=True)
    print(f"{killed} of {len(mutants)} killed")
    return int(killed < len(mutants))


if __name__ == "__main__":
    sys.exit(main())
