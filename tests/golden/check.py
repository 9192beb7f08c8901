"""Compare the library with numbers recorded from the official code.

    python tests/golden/check.py [--device cuda] CASE_DIR...

Rebuilds each case from its folder and compares every recorded tensor. Files next to the cases, which `folder/*`
matches too, are ignored. Exit code: 0 if all agree, 1 if something differs or there is no case, 3 if a method is
unknown (and nothing differs).
"""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path

import torch

from cliptune.types import LinearBackend

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script, only its folder is on the path

from golden.case import CPU, Unsound, read
from golden.compare import Report
from golden.families import find

AGREES, DIFFERS, UNKNOWN = 0, 1, 3


class Unknown(Exception):
    """No family of cases has this method."""


def compared(folder: Path | str, linear_backend: LinearBackend = "torch", device: torch.device = CPU) -> Report:
    """Rebuild and compare one case."""
    case = read(folder, linear_backend, device)
    family, report = find(case.method), Report(case)
    if family is None:
        raise Unknown(f"method {case.method!r} is not known here")
    family(case, report)
    return report


def check(
    folder: Path | str, linear_backend: LinearBackend = "torch", device: torch.device = CPU
) -> tuple[int, list[str]]:
    """Rebuild and compare one case. Returns its exit code and the lines to print."""
    name = Path(folder).absolute().name
    try:
        report = compared(folder, linear_backend, device)
    except Unknown as error:
        return UNKNOWN, [f"??   {name:24} {error}"]
    except Unsound as error:
        return DIFFERS, [f"FAIL {name:24} {error}"]
    except Exception as error:  # any error of the library fails this case only
        traceback.print_exc()
        return DIFFERS, [f"FAIL {name:24} {type(error).__name__}: {error}"]
    return AGREES if report.passed else DIFFERS, report.lines()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare the library with recorded numbers.")
    parser.add_argument("cases", nargs="+", type=Path, metavar="CASE_DIR", help="a folder with case.json")
    parser.add_argument(
        "--linear-backend", default="torch", choices=["torch", "onednn"], help="of frozen linear layers"
    )
    parser.add_argument("--device", type=torch.device, default=CPU, help="where cases are rebuilt, such as cuda")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # as recorded
    codes = set()
    for folder in options.cases:
        if folder.is_file():
            print(f"skip {folder.name:24} a file, no case")
            continue
        code, lines = check(folder, options.linear_backend, options.device)
        codes.add(code)
        print("\n".join(lines), flush=True)
    return next((code for code in (DIFFERS, UNKNOWN, AGREES) if code in codes), DIFFERS)


if __name__ == "__main__":
    sys.exit(main())
