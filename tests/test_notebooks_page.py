"""The cells of docs/notebooks.md, in this process and in the kernel of a notebook."""

import ast
import re
import shutil
import sys
from pathlib import Path

import pytest

import cliptune as ct

PAGE = (Path(__file__).parents[1] / "docs" / "notebooks.md").read_text(encoding="utf-8")
CELLS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
pytestmark = pytest.mark.filterwarnings("ignore:class 'cat' has 4 images")


def briefly(cell):
    """A cell whose training takes a second."""
    return cell.replace("shots=4,", "shots=4, epochs=1, min_steps=0,")


def test_the_cells_as_a_script(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(photos, "photos")
    names, shown = {}, []
    for cell in map(briefly, CELLS):
        *body, last = ast.parse(cell).body
        if not isinstance(last, ast.Expr):
            body.append(last)
        exec(compile(ast.Module(body, []), "notebooks.md", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "notebooks.md", "eval"), names)
            kinds = ("png", "jpeg", "html")
            shown.append(next(kind for kind in kinds if getattr(value, f"_repr_{kind}_", lambda: None)()))
    assert shown == ["html"] * 4 + ["png"] * 2 + ["jpeg"]


@pytest.mark.slow
def test_the_cells_in_a_kernel(photos, tmp_path, monkeypatch):
    pytest.importorskip("ipykernel")
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    shutil.copytree(photos, tmp_path / "photos")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(ct.__file__).parents[1]))  # the kernel starts in another folder
    cells = [*map(briefly, CELLS), f"!{sys.executable} -m cliptune evaluate my-run"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(book, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    kinds = [set().union(*(out.get("data", {}) for out in cell.outputs)) - {"text/plain"} for cell in book.cells]
    assert kinds[:7] == [{"text/html"}] * 4 + [{"image/png"}] * 2 + [{"image/jpeg"}]
    bar = [out.data["text/html"] for out in book.cells[1].outputs if "text/html" in out.get("data", {})]
    assert len(bar) == 2 and "training" in bar[0], "the bar, updated in place, and the run"
    text = "".join(out.text for cell in book.cells for out in cell.outputs if out.output_type == "stream")
    assert "test" in text and not re.search(r"\x1b\[[\d?;]*[A-LSThlsu]", text), "nothing moves the cursor"
