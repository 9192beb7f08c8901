"""Read the form of a request within limits; what is wrong with a request as status and sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cliptune import checks
from cliptune.errors import UserError, shown
from cliptune.serving.limits import OTHER_FIELDS, RequestLimits
from cliptune.text import listed

if TYPE_CHECKING:
    from starlette.requests import Request

#: Longest class name in characters. Prompts are cut to the context of the text tower far earlier.
MAX_NAME = 200
EXAMPLE = "curl -F images=@cat.jpg URL/predict"


class RequestError(Exception):
    """A request that is refused. details: further keys of the JSON object with the sentence under "error"."""

    def __init__(self, status: int, sentence: str, **details: Any):
        super().__init__(sentence)
        self.status, self.content = status, {"error": sentence, **details}


@dataclass(frozen=True)
class Form:
    """The fields of a request: image files with their names, class names, number of classes to return."""

    images: Sequence[tuple[str, bytes]]
    classes: tuple[str, ...] = ()
    top_k: int = 5


async def read_form(request: Request, limits: RequestLimits, fields: Sequence[str]) -> Form:
    """Read a multipart form.

    Args:
        fields: Names of the fields that the request may have, of "images", "classes" and "top_k".

    Raises:
        RequestError: The form is malformed or exceeds a limit, or a field is missing, unknown or invalid.
    """
    from starlette.exceptions import HTTPException

    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise RequestError(415, f"the request must be multipart/form-data, such as of {EXAMPLE}")
    request = _limited(request, limits.request_bytes)
    try:
        async with asyncio.timeout(limits.upload_seconds):
            form = await request.form(max_files=limits.max_images, max_fields=limits.max_classes + OTHER_FIELDS)
    except TimeoutError:
        raise RequestError(408, f"the request took longer than {limits.upload_seconds:g} seconds to arrive") from None
    except HTTPException as error:
        raise RequestError(400, f"the form cannot be read: {error.detail}") from None
    try:
        unknown = sorted({name for name in form if name not in fields})
        if unknown:
            raise RequestError(400, f"unknown field {shown(unknown[0])}; the fields are {', '.join(fields)}")
        images = [await _file(part, number) for number, part in enumerate(form.getlist("images"))]
        if "images" in fields and not images:
            raise RequestError(400, f"the request has no images; send them in the field images: {EXAMPLE}")
        return Form(images, _classes(form.getlist("classes"), limits), _top_k(form.getlist("top_k")))
    finally:
        await form.close()


async def _file(part: Any, number: int) -> tuple[str, bytes]:
    """The name and the content of a file. Raises `RequestError` for text."""
    if isinstance(part, str):
        raise RequestError(400, f"the field images must contain files, such as of {EXAMPLE}")
    return shorten(part.filename) or f"image {number}", await part.read()


def shorten(name: str | None) -> str:
    """A file name as messages show it: without folders, at most 100 characters."""
    name = (name or "").replace("\\", "/").rpartition("/")[2]
    return name if len(name) <= 100 else f"{name[:60]}...{name[-20:]}"


def _classes(values: Sequence[Any], limits: RequestLimits) -> tuple[str, ...]:
    """Class names from repeated fields. Raises `RequestError`."""
    if any(not isinstance(value, str) for value in values):
        raise RequestError(400, "the field classes must contain text, not a file")
    names = tuple(value.strip() for value in values)
    if len(names) > limits.max_classes:
        raise RequestError(413, f"{len(names)} class names were sent; at most {limits.max_classes} are accepted")
    long = [name for name in names if len(name) > MAX_NAME]
    if long:
        raise RequestError(413, f"the class name {shown(long[0])} is longer than {MAX_NAME} characters; shorten it")
    if names:
        try:
            checks.classnames(names)
            checks.printable("class name", names)
        except UserError as error:
            raise RequestError(422, str(error)) from None
    return names


def _top_k(values: Sequence[Any]) -> int:
    if not values:
        return Form.top_k
    text = values[-1]
    if len(values) > 1 or not (isinstance(text, str) and text.isascii() and text.isdigit() and 0 < int(text[:9])):
        raise RequestError(422, f"top_k must be one whole number from 1, got {listed(map(shown, values))}")
    return int(text[:9])


def _limited(request: Request, most: int) -> Request:
    """The request with at most `most` bytes of body. Raises `RequestError` now if it states a larger one."""
    from starlette.requests import Request as StarletteRequest

    too_large = RequestError(413, f"the request has more than {most / (1 << 20):.0f} MiB; send fewer or smaller images")
    stated = request.headers.get("content-length", "0")
    if stated.isdigit() and int(stated[:18]) > most:
        raise too_large
    total = 0

    async def receive() -> Any:
        nonlocal total
        message = await request.receive()
        total += len(message.get("body", b""))
        if total > most:
            raise too_large
        return message

    return StarletteRequest(request.scope, receive)
