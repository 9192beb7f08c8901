"""Registry of methods: each module here defines one; `a+b` wraps `a` in `b`.

`"package.module:Class"` names a method outside of cliptune.
"""

from __future__ import annotations

import inspect
import re

from cliptune.errors import UserError
from cliptune.model.method import Method
from cliptune.model.wrapper import Wrapper
from cliptune.registry import Registry

REGISTRY = Registry("method", (__name__,), Method, external=True)


def names() -> list[str]:
    """The names of all methods, sorted."""
    return REGISTRY.names()


def get(name: str) -> type[Method]:
    """The class of the method `name`. Raises `UserError` with the nearest names if there is none."""
    found = REGISTRY.get(name)
    if not (inspect.isclass(found) and issubclass(found, Method)):
        raise UserError(f"{name!r} is not a subclass of cliptune.model.method.Method")
    return found


def is_wrapper(cls: type[Method]) -> bool:
    """Whether the method wraps another one."""
    return issubclass(cls, Wrapper)


def build(name: str) -> Method:
    """The method `name` with its default settings: `"maple+dapt"` -> `Dapt(base=Maple())`."""
    first, *wrappers = name.split("+")
    if "" in (first, *wrappers):
        raise UserError(f"{name!r} names no method; write one, or several as maple+dapt; known: {', '.join(names())}")
    method = get(first)()
    for wrapper in wrappers:
        cls = get(wrapper)
        if not is_wrapper(cls):
            raise UserError(
                f"{wrapper!r} does not wrap other methods, so {name!r} has no meaning; wrappers: "
                f"{', '.join(wrapper_names())}"
            )
        method = cls(base=method)  # type: ignore[call-arg]
    return method


def wrapper_names() -> list[str]:
    """Names of the methods that wrap another one."""
    return [name for name in names() if is_wrapper(get(name))]


def paper_of(cls: type[Method]) -> str:
    """Authors, title, venue, year and address of a method's paper, from its docstring; "" if that names none."""
    _, _, rest = (cls.__doc__ or "").strip().partition("\n\n")
    # "Authors, Title, Venue Year, https://..." is the paragraph's first sentence.
    found = re.search(r".+?https?://[^\s,]+(?=[.,])", " ".join(rest.split()))
    return found[0] if found else ""


def name_of(method: Method) -> str:
    """The name from which `build` makes a method of the same class."""
    cls = type(method)
    own = (
        cls.__module__.rpartition(".")[2]
        if cls.__module__.startswith(__name__ + ".")
        else f"{cls.__module__}:{cls.__name__}"
    )
    return f"{name_of(method.base)}+{own}" if is_wrapper(cls) else own  # type: ignore[attr-defined]
