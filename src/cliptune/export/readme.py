"""`README.md` of an export: what the files are, and lines of Python that use them."""

from __future__ import annotations

from typing import Any

from cliptune.export.comparison import in_words
from cliptune.export.usage import SCRIPT

README = "README.md"


def readme(about: dict[str, Any], needs: str, files: dict[str, str], code: str) -> str:
    """The text of a README.

    Args:
        about: The content of `classifier.json`.
        needs: What to install.
        files: What the files are, by name.
        code: Lines that use them, for a reader in the folder.
    """
    preprocessing, data = about["preprocessing"], f" on `{about['data']}`" if about["data"] else ""
    rows = "\n".join(f"| `{name}` | {what} |" for name, what in files.items())
    measured = f"\nMeasured when it was exported: {in_words(about['measured'])}.\n" if "measured" in about else ""
    return f"""# Classifier of {len(about["classes"])} classes

Tuned with `{about["method"]}`{data}; the backbone is {about["backbone"]}. Exported by cliptune {about["cliptune"]}.

    pip install {needs}
    python {SCRIPT} photo.jpg

In Python, in this folder:

```python
{code}
```

| file | content |
|---|---|
{rows}
{measured}
Images: upright, RGB, transparency on white; {preprocessing["resize"]}, with Pillow.
Means of the channels are {preprocessing["mean"]} and standard deviations {preprocessing["std"]}, of values in [0, 1];
{"they are in the graph, which takes values from 0 to 255" if "input" in about else "see the code"}.
"""
