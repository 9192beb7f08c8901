"""A folder of files that appears completely or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cliptune import files
from cliptune.errors import UserError, os_reason
from cliptune.export.description import FILE
from cliptune.export.readme import README


@contextmanager
def complete_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`. Its files are moved to `folder` if the block succeeds, replacing files
    of the same names, and deleted otherwise.

    Raises `UserError` if `folder` cannot be written, or has files of these names that are not of an export.
    """
    files.check_folder(folder)
    folder = folder.absolute()
    if (folder / README).exists() and not (folder / FILE).exists():
        raise UserError(f"{folder} has a {README} that is not of an export; choose another folder with --out")
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if not folder.exists():
            os.replace(temporary, folder)
            return
        for file in sorted(temporary.iterdir()):
            os.replace(file, folder / file.name)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {os_reason(error)}; choose another folder with --out") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
