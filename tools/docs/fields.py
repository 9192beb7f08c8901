"""The fields of a dataclass as a table of its page: name, type, description, default. Read from sources by griffe."""

from __future__ import annotations

from typing import Any

import griffe


class Fields(griffe.Extension):
    """Turns the attribute docstrings of dataclasses into a table of parameters."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        if "dataclass" not in cls.labels and not any("dataclass" in str(d.value) for d in cls.decorators):
            return
        fields: list[griffe.DocstringParameter] = [
            griffe.DocstringParameter(
                field.name,
                annotation=field.annotation,
                description=" ".join(field.docstring.value.split()) if field.docstring else "",
                value=_as_called(field.value),
            )
            for field in cls.members.values()
            if field.is_attribute and field.annotation is not None and "property" not in field.labels
        ]
        if cls.docstring is not None and any(field.description for field in fields):
            cls.docstring.parsed.append(griffe.DocstringSectionParameters(fields))


def _as_called(value: Any) -> Any:
    """A default as it is called: `Maple` for a field that makes one."""
    text = str(value) if value is not None else None
    if text and "default_factory=" in text:
        return text.partition("default_factory=")[2].rstrip(")") + "()"
    return text
