"""MLflow."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cliptune.loggers.common.logger import (
    Logger,
    Picture,
    RunStart,
    artifacts,
    final_metrics,
    flatten,
    import_library,
    read_identity,
    write_identity,
)
from cliptune.types import Result

#: How long a server that does not answer holds up a run, unless the user sets these variables of MLflow.
LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
#: Maximum number of characters of a parameter.
MAX_VALUE = 500
#: Characters that names of metrics and parameters must not contain.
FORBIDDEN = re.compile(r"[^\w\-. :/]")


class MLflow(Logger):
    """A run of MLflow, on the server of `MLFLOW_TRACKING_URI`, in the experiment of `MLFLOW_EXPERIMENT_NAME` or
    "cliptune"."""

    def __init__(self) -> None:
        self._mlflow = import_library("mlflow")
        self._client: Any = None
        self._id, self._epoch = "", 0

    def start(self, run: RunStart) -> None:
        with _limited():
            self._client, self._epoch = self._mlflow.MlflowClient(), run.first
            identity = read_identity(run, "mlflow")
            if identity:
                self._id = identity
                self._client.update_run(self._id, status="RUNNING")
            else:
                self._id = self._client.create_run(self._experiment(), run_name=run.name).info.run_id
                values = [(FORBIDDEN.sub("_", key), str(value)[:MAX_VALUE]) for key, value in flatten(run.config)]
                self._client.log_batch(self._id, params=[self._mlflow.entities.Param(*pair) for pair in values])
        write_identity(run.folder, "mlflow", self._id)

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        self._epoch = epoch
        self._metrics(values)

    def pictures(self, pictures: Sequence[Picture]) -> None:
        with _limited():
            for i, picture in enumerate(pictures):
                name = re.sub(r"[^\w.-]+", "-", picture.caption)[:80]
                self._client.log_image(self._id, picture.pixels, artifact_file=f"training images/{i}-{name}.png")

    def finish(self, result: Result | None, folder: Path | None) -> None:
        if result is not None:
            self._metrics(final_metrics(result))
        with _limited():
            for file in artifacts(folder) if result is not None else ():
                self._client.log_artifact(self._id, str(file))
            self._client.set_terminated(self._id, "FAILED" if result is None else "FINISHED")

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "cliptune"
        found = self._client.get_experiment_by_name(name)
        return self._client.create_experiment(name) if found is None else found.experiment_id

    def _metrics(self, values: Mapping[str, float]) -> None:
        with _limited():
            for name, value in values.items():
                self._client.log_metric(self._id, FORBIDDEN.sub("_", name), value, step=self._epoch)


@contextmanager
def _limited() -> Iterator[None]:
    """Apply `LIMITS` in the block; MLflow reads these variables at each request."""
    added = {name: value for name, value in LIMITS.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
