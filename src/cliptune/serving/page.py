"""The page of the HTTP API: what is served, a form to try it, and the routes of its OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

#: Class names that the page shows; /model has all of them.
MAX_SHOWN = 60


def render_page(document: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    """Render the page as HTML that loads nothing else.

    Args:
        document: The OpenAPI document.
        model: The answer of /model.
    """
    environment = Environment(
        loader=PackageLoader("cliptune.serving"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    routes = [
        {
            "path": path,
            "verb": verb.upper(),
            "about": route.get("description", ""),
            "fields": _fields(route),
            "refusals": {
                code: answer["description"] for code, answer in route["responses"].items() if code not in ("200",)
            },
        }
        for path, verbs in document["paths"].items()
        for verb, route in verbs.items()
    ]
    return environment.get_template("api.html.j2").render(
        title=document["info"]["title"], model=model, routes=routes, shown=MAX_SHOWN
    )


def _fields(route: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The fields of a route's form: name, description, whether it is required."""
    content = route.get("requestBody", {}).get("content", {}).get("multipart/form-data")
    if content is None:
        return []
    schema = content["schema"]
    return [
        {"name": name, "about": field["description"], "required": name in schema["required"]}
        for name, field in schema["properties"].items()
    ]
