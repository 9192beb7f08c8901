"""Warnings that name the line of the program that called cliptune, however deep inside they are given."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from types import FrameType

#: Start of the file names of this package.
PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
#: Packages whose functions may stand between the program and a function of cliptune: decorators, calls of modules.
BETWEEN = ("torch", "contextlib", "functools")


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, as of the line that called the outermost function of cliptune.

    In a thread that cliptune started, that is the line in the main thread.
    """
    frame = program_frame(sys._getframe())
    if frame is None:  # cliptune is the program
        warnings.warn(message, category, stacklevel=2)
        return
    names = frame.f_globals
    registry = names.setdefault("__warningregistry__", {})
    place = (frame.f_code.co_filename, frame.f_lineno, names.get("__name__", "<unknown>"))
    warnings.warn_explicit(message, category, *place, registry=registry)


def program_frame(frame: FrameType) -> FrameType | None:
    """The frame that called the outermost function of cliptune on the stack of `frame`; None if nothing did."""
    found = _caller(frame)
    if found is None or _package(found) in ("threading", "concurrent"):
        main = sys._current_frames().get(threading.main_thread().ident or 0)
        found = _caller(main) or found
    return found


def _caller(frame: FrameType | None) -> FrameType | None:
    found = None
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            found = frame.f_back
            while found is not None and _package(found) in BETWEEN:
                found = found.f_back
        frame = frame.f_back
    return found


def _package(frame: FrameType) -> str:
    """The name of the package whose code a frame executes."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
