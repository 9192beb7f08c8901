"""The HTTP API of a tuned model, as a FastAPI application."""

# Annotations are not postponed: FastAPI reads those of the functions in `build_api`, whose types are imported there.

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from cliptune import methods
from cliptune.serving.answers import (
    ClassProbability,
    Health,
    ImageFeatures,
    Model,
    Prediction,
    Predictions,
    TextFeatures,
)
from cliptune.serving.classifier import Query
from cliptune.serving.forms import Form, RequestError, read_form
from cliptune.serving.page import render_page
from cliptune.serving.service import Service
from cliptune.version import __version__

#: Form fields and their schemas in the OpenAPI document.
FIELDS: dict[str, dict[str, Any]] = {
    "images": {"type": "array", "items": {"type": "string", "format": "binary"}, "description": "image files"},
    "classes": {
        "type": "array",
        "items": {"type": "string"},
        "description": "other class names, the field repeated for each; by default those of training",
    },
    "top_k": {"type": "integer", "minimum": 1, "default": Form.top_k, "description": "number of classes per image"},
}
#: Statuses of refused requests, as the OpenAPI document describes them.
REFUSALS = {
    400: "the form is malformed",
    408: "the request takes too long to arrive",
    413: "the request is too large",
    415: "the request is not a multipart form",
    422: "an image cannot be read, or the class names cannot be used",
    503: "the server is busy; try again",
}

#: The page loads nothing from elsewhere, and sends to its own server only.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}


def build_api(service: Service, name: str) -> Any:
    """The FastAPI application. name: What is served, such as the name of the run's folder."""
    from fastapi import FastAPI, Request
    from fastapi.responses import HTMLResponse, JSONResponse
    from starlette.exceptions import HTTPException

    classifier = service.classifier

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        yield
        service.close()

    # The pages that FastAPI offers load scripts from another host; `render_page` needs none.
    app = FastAPI(
        title=f"cliptune: {name}",
        version=__version__,
        description="Classes, probabilities and features of images, from a tuned CLIP.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )

    @app.exception_handler(RequestError)
    def refuse(_: Request, error: RequestError) -> JSONResponse:
        headers = {"Retry-After": "1"} if error.status == 503 else {}
        return JSONResponse(error.content, error.status, headers)

    @app.exception_handler(HTTPException)
    def refuse_path(request: Request, error: HTTPException) -> JSONResponse:
        where = f"{request.method} {request.url.path}"
        return JSONResponse({"error": f"{where}: {error.detail}; see /docs"}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    def fail(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": f"unexpected {type(error).__name__}; the server's log has the details"}, 500)

    @app.post("/predict", **_form("images", "classes", "top_k"))
    async def predict(request: Request) -> Predictions:
        """The most probable classes of images."""
        async with _admitted(service, request, "images", "classes", "top_k") as form:
            views = await service.decode(form.images)
            query = Query("probabilities", form.classes)
            rows = await service.compute(query, [view.pixels for view in views])
        classes = form.classes or classifier.tuned.classnames
        predictions = [
            Prediction(image, best_classes(row, classes, form.top_k), view.note)
            for (image, _), view, row in zip(form.images, views, rows, strict=True)
        ]
        return Predictions(predictions, classifier.is_calibrated(form.classes), classifier.notes(form.classes))

    @app.post("/image-features", **_form("images"))
    async def image_features(request: Request) -> ImageFeatures:
        """Features of images, for search or clustering."""
        async with _admitted(service, request, "images") as form:
            views = await service.decode(form.images)
            features = await service.compute(Query("image_features"), [view.pixels for view in views])
        return ImageFeatures([image for image, _ in form.images], features)

    @app.post("/text-features", **_form("classes"))
    async def text_features(request: Request) -> TextFeatures:
        """Features of class names, in the space of the image features."""
        async with _admitted(service, request, "classes") as form:
            (features,) = await service.compute(Query("text_features", form.classes), [None])
        classes = form.classes or classifier.tuned.classnames
        return TextFeatures(list(classes), features, classifier.notes(form.classes))

    @app.get("/model")
    async def model() -> Model:
        """What is served: classes, method, backbone, limits."""
        return describe(service, name)

    @app.get("/health")
    async def health() -> Health:
        """Whether the server answers, and how busy it is."""
        return Health("ok", service.admission.count, service.admission.most)

    @app.get("/docs", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    def page() -> HTMLResponse:
        return HTMLResponse(render_page(app.openapi(), asdict(describe(service, name))), headers=PAGE_HEADERS)

    return app


def describe(service: Service, name: str) -> Model:
    """What is served, under the name `name`."""
    tuned, temperature = service.classifier.tuned, service.classifier.temperature
    return Model(
        run=name,
        method=methods.name_of(tuned.run.method),
        backbone=tuned.model.backbone.name,
        classes=list(tuned.classnames),
        accepts_other_classes=tuned.model.accepts_new_classes,
        temperature=None if temperature is None else temperature.temperature,
        embed_dim=tuned.model.backbone.embed_dim,
        limits=asdict(service.limits),
        cliptune=__version__,
    )


def best_classes(probabilities: Sequence[float], names: Sequence[str], top_k: int) -> list[ClassProbability]:
    """The `top_k` most probable classes, in descending order."""
    order = sorted(range(len(names)), key=lambda i: -probabilities[i])[:top_k]
    return [ClassProbability(names[i], probabilities[i]) for i in order]


@asynccontextmanager
async def _admitted(service: Service, request: Any, *fields: str) -> AsyncIterator[Form]:
    """The form of a request, whose images are counted within the block, one even before their number is known."""
    with service.admission.admit(1):
        form = await read_form(request, service.limits, fields)
        with service.admission.admit(max(0, len(form.images) - 1)):
            yield form


def _form(*fields: str) -> dict[str, Any]:
    """Options of a route that reads a multipart form."""
    required = [name for name in ("images",) if name in fields]
    schema = {"type": "object", "properties": {name: FIELDS[name] for name in fields}, "required": required}
    error = {"schema": {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}}
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}},
        "responses": {
            status: {"description": about, "content": {"application/json": error}} for status, about in REFUSALS.items()
        },
    }
