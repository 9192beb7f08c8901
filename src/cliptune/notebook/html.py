"""Parts of the HTML of an object. Colours are those of the notebook, so light and dark themes need nothing else.

Styles are attributes: notebooks remove style sheets from outputs that they do not trust.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape as escape
from typing import Any

from cliptune.report.figures import data_uri
from cliptune.report.overlay import image_bytes

#: Largest number of rows of a table, of images, and of characters of a text in a cell.
MAX_ROWS, MAX_IMAGES, MAX_CHARACTERS = 20, 12, 60
#: Pixels of the longer side of a thumbnail, about 4 kB each.
SIDE = 96
LINE = "1px solid rgba(128,128,128,0.4)"


def block(title: str, *parts: str) -> str:
    """The whole HTML of an object. title: Plain text. parts: HTML."""
    return f'<div style="line-height:1.4"><div><b>{escape(title)}</b></div>{"".join(parts)}</div>'


def text(words: str) -> str:
    """A line of plain text."""
    return f"<div>{escape(words)}</div>" if words else ""


def note(words: str) -> str:
    """A line of plain text that stands back."""
    return f'<div style="opacity:0.7;font-size:90%">{escape(words)}</div>' if words else ""


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], numeric: Iterable[str] = (), total: int = 0) -> str:
    """A table of plain text, at most `MAX_ROWS` rows long.

    Args:
        head: Titles of the columns.
        rows: Cells; numbers are written with at most five digits, None as a dash.
        numeric: Titles of the columns that are aligned to the right.
        total: Number of rows there are, if `rows` are only the first.
    """
    right = [title in set(numeric) for title in head]
    body = "".join(
        f"<tr>{''.join(_cell('td', cell_text(cell), r) for cell, r in zip(row, right, strict=True))}</tr>"
        for row in rows[:MAX_ROWS]
    )
    heads = "".join(_cell("th", title, r) for title, r in zip(head, right, strict=True))
    left = max(total, len(rows)) - len(rows[:MAX_ROWS])
    more = note(f"and {left:,} more row{'s' * (left > 1)}") if left else ""
    style = "border-collapse:collapse;margin:0.4em 0"
    return f'<table style="{style}"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{more}'


def cell_text(value: Any) -> str:
    """A value as text, shortened to `MAX_CHARACTERS`."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.5g}"
    words = str(value)
    return words if len(words) <= MAX_CHARACTERS else f"{words[: MAX_CHARACTERS - 1]}…"


def thumbnail(image: Any, mask: Any, caption: str) -> str:
    """An image with a caption and the outline of its mask, if that is given. image: uint8 `(3, H, W)`."""
    uri = data_uri("jpeg", image_bytes(image, mask, side=SIDE, kind="jpeg"))
    return _tile(f'<img src="{uri}" alt="{escape(cell_text(caption))}" style="display:block;margin:auto">', caption)


def missing_thumbnail(reason: str, caption: str) -> str:
    """A place for an image that cannot be read, with the reason."""
    style = f"height:{SIDE}px;overflow:hidden;border:{LINE};font-size:70%;overflow-wrap:anywhere"
    return _tile(f'<div style="{style}">{escape(reason)}</div>', caption)


def _tile(inside: str, caption: str) -> str:
    style = f"display:inline-block;vertical-align:top;width:{SIDE + 8}px;margin:4px;text-align:center"
    words = f'<div style="font-size:80%;overflow-wrap:anywhere">{escape(cell_text(caption))}</div>'
    return f'<div style="{style}">{inside}{words}</div>'


def _cell(tag: str, words: str, right: bool) -> str:
    style = f"text-align:{'right' if right else 'left'};padding:2px 10px 2px 0;border-bottom:{LINE}"
    return f'<{tag} style="{style}">{escape(words)}</{tag}>'
