"""`README.md` of an export: what the files are, and lines of Python that use them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cliptune.export.comparison import in_words

README = "README.md"
#: Reads the pixels of the PIL image `image` as a batch of one.
PIXELS = "np.asarray(image).transpose(2, 0, 1)[None]"


def readme(about: dict[str, Any], needs: str, files: dict[str, str], code: Sequence[str]) -> str:
    """The text of a README.

    Args:
        about: The content of `classifier.json`.
        needs: What to install.
        files: What the files are, by name.
        code: Lines that use them, for a reader in the folder.
    """
    preprocessing, data = about["preprocessing"], f" on `{about['data']}`" if about["data"] else ""
    rows = "\n".join(f"| `{name}` | {what} |" for name, what in files.items())
    lines = "\n".join(code)
    measured = f"\nMeasured when it was exported: {in_words(about['measured'])}.\n" if "measured" in about else ""
    return f"""# Classifier of {len(about["classes"])} classes

Tuned with `{about["method"]}`{data}; the backbone is {about["backbone"]}. Exported by cliptune {about["cliptune"]}.

    pip install {needs}

In this folder:

```python
{lines}
```

| file | content |
|---|---|
{rows}
{measured}
Images: upright, RGB, transparency on white; {preprocessing["resize"]}, with Pillow.
Means of the channels are {preprocessing["mean"]} and standard deviations {preprocessing["std"]}, of values in [0, 1];
{"they are in the graph, which takes values from 0 to 255" if "input" in about else "see the code"}.
"""


def head(*imports: str) -> tuple[str, ...]:
    """The first lines of the code: imports, and the file to classify."""
    plain = sorted(line for line in imports if line.startswith("import "))
    return ("import json", *plain, "import numpy as np", "from PIL import Image, ImageOps", "", 'file = "photo.jpg"')


def answer(about: dict[str, Any]) -> tuple[str, ...]:
    """The last lines of the code: the class of `logits` `(1, C)` and its probability."""
    fitted = about.get("temperature")
    calibrate = [f"logits = logits / {fitted['temperature']!r}  # calibrated on validation images"] if fitted else []
    return (
        'classes = json.load(open("classifier.json", encoding="utf-8"))["classes"]',
        *calibrate,
        "odds = np.exp(logits[0] - logits[0].max())",
        "print(classes[odds.argmax()], odds.max() / odds.sum())",
    )
