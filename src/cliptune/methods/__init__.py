"""Methods by name: a file here is a method, `a+b` wraps `a` in `b`, `"package.module:Class"` serves outsiders."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil

from cliptune import external_code
from cliptune.errors import UserError, shown
from cliptune.model.method import Method, Wrapper


def names() -> list[str]:
    """Every method's name, from the files of this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")


def get(name: str) -> type[Method]:
    """The class of the method `name`: the one `Method` its file defines, or `"package.module:Class"`."""
    if external_code.is_external(name):
        found = external_code.import_external(name, "method")
        if not (inspect.isclass(found) and issubclass(found, Method)):
            raise UserError(f"{name!r} is not a subclass of cliptune.model.method.Method")
        return found
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=3, cutoff=0.4)
        hint = f"nearest: {', '.join(close)}" if close else f"known: {', '.join(names())}"
        raise UserError(f"unknown method {shown(name)}; {hint}")
    module = importlib.import_module(f"{__name__}.{name}")
    found = [
        c
        for c in vars(module).values()
        if inspect.isclass(c) and issubclass(c, Method) and c.__module__ == module.__name__
    ]
    assert len(found) == 1, f"methods/{name}.py must define exactly one Method"
    return found[0]


def is_wrapper(cls: type[Method]) -> bool:
    """Whether the method goes around another one."""
    return issubclass(cls, Wrapper)


def build(name: str) -> Method:
    """`"maple+dapt"` -> `Dapt(base=Maple())`, each with the paper's settings."""
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
    """Names of the methods that go around another one."""
    return [name for name in names() if is_wrapper(get(name))]


def name_of(method: Method) -> str:
    """The name that `build` makes the same kind of method from."""
    cls = type(method)
    own = (
        cls.__module__.rpartition(".")[2]
        if cls.__module__.startswith(__name__ + ".")
        else f"{cls.__module__}:{cls.__name__}"
    )
    return f"{name_of(method.base)}+{own}" if is_wrapper(cls) else own  # type: ignore[attr-defined]
