"""Run the Python of an export's README as a user without cliptune would."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

#: Raises an `ImportError` for each of the modules that the first argument names, then runs the second in its folder.
RUNNER = """
import os, sys
from importlib.abc import MetaPathFinder
banned = sys.argv[1].split(",")
class Banned(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in banned:
            raise ImportError(name + " is not installed here")
sys.meta_path.insert(0, Banned())
os.chdir(sys.argv[2])
exec(compile(open("code.py", encoding="utf-8").read(), "code.py", "exec"), {"__name__": "__main__"})
"""


def code_of(folder: Path) -> str:
    """The Python of the README."""
    (block,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL)
    return block


def answers(folder: Path, images: list[Path], banned: tuple[str, ...]) -> list[tuple[str, float]]:
    """Class and probability of each image, by the code of the README in a process that cannot import `banned`."""
    imports, _, rest = code_of(folder).partition('\n\nfile = "photo.jpg"\n')
    assert rest
    body = "\n".join("    " + line for line in rest.splitlines())
    lines = f"{imports}\nfor file in {[str(image) for image in images]!r}:\n{body}\n"
    (folder / "code.py").write_text(lines, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUNNER, ",".join(banned), str(folder)], capture_output=True, text=True
    )
    (folder / "code.py").unlink()
    assert done.returncode == 0, done.stderr
    rows = [line.rpartition(" ") for line in done.stdout.splitlines()]
    return [(name, float(probability)) for name, _, probability in rows]


def printed(folder: Path, images: list[Path]) -> list[tuple[str, float]]:
    """Class and probability of each image, by `classify.py` from the folder of the images."""
    names = [image.name for image in images]
    command = [sys.executable, "-W", "error", str(folder / "classify.py"), *names]
    done = subprocess.run(command, capture_output=True, text=True, cwd=images[0].parent)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [name for name, _, _ in rows] == names
    return [(classname, float(probability)) for _, classname, probability in rows]
