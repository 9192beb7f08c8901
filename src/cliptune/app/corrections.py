"""Corrected labels of images, as a table that `--data csv:FILE` reads."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import threading
from pathlib import Path

from cliptune import checks
from cliptune.dir_lock import lock_file
from cliptune.errors import UserError
from cliptune.files import check_folder, read_bytes, read_text, write_bytes, write_text

TABLE = "corrections.csv"
HEAD = ["image", "label"]


class Corrections:
    """A folder with a table of images and labels, and copies of the images. Several processes may add to it.

    Raises `UserError` if the folder cannot be written, or its table is another file.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock = threading.Lock()
        check_folder(folder)
        self.rows()

    @property
    def table(self) -> Path:
        """The path of the table."""
        return self.folder / TABLE

    def rows(self) -> dict[str, str]:
        """Image -> label."""
        if not self.table.exists():
            return {}
        lines = list(csv.reader(io.StringIO(read_text(self.table))))
        if lines[:1] != [HEAD] or any(len(line) != 2 for line in lines):
            raise UserError(f"{self.table} is not a table of corrections; choose another folder with --corrections")
        return {image: label for image, label in lines[1:]}

    def add(self, file: str | Path, label: str) -> int:
        """Copy an image to the folder and write its label, in place of an earlier one. Returns the number of rows.

        Raises:
            UserError: The label is not a line of text, or a file cannot be read or written.
        """
        label = label.strip()
        checks.printable("label", [label])
        content = read_bytes(file)
        name = re.sub(r"[^\w.-]+", "_", Path(file).name)[-60:].lstrip(".")
        image = f"images/{hashlib.sha256(content).hexdigest()[:12]}-{name}"
        with self._lock, lock_file(self.table):
            rows = self.rows()
            same = [key for key in rows if key[:20] == image[:20]]  # the same content under another name
            image = same[0] if same else image
            if not (self.folder / image).exists():
                write_bytes(self.folder / image, content)
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([HEAD, *({**rows, image: label}).items()])
            write_text(self.table, text.getvalue())
            return len({**rows, image: label})
