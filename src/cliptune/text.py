"""Text of messages."""

from __future__ import annotations

from collections.abc import Iterable


def listed(items: Iterable[object], limit: int = 5, separator: str = ", ") -> str:
    """The first `limit` items, and how many follow: "a, b, c and 4 more"."""
    names = [str(item) for item in items]
    rest = f"{separator.rstrip(', ')} and {len(names) - limit} more" if len(names) > limit else ""
    return separator.join(names[:limit]) + rest
