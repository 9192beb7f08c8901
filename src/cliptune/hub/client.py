"""The client of the hub, and its errors as sentences."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cliptune.errors import UserError, os_reason
from cliptune.version import __version__

#: Environment variable with the address of another hub.
ENDPOINT_VARIABLE = "HF_ENDPOINT"


def endpoint() -> str:
    """The address of the hub, without a slash at its end."""
    return (os.environ.get(ENDPOINT_VARIABLE) or "https://huggingface.co").rstrip("/")


def hub_library() -> Any:
    """The module `huggingface_hub`. Raises `UserError` if it is not installed."""
    try:
        import huggingface_hub
    except ImportError:
        raise UserError('runs on the hub need huggingface_hub: pip install "cliptune[hub]"') from None
    return huggingface_hub


def client() -> Any:
    """An `HfApi` for the hub at `endpoint`."""
    return hub_library().HfApi(endpoint=endpoint(), library_name="cliptune", library_version=__version__)


@contextmanager
def hub_errors(repository: str, revision: str = "") -> Iterator[None]:
    """Turn errors of the client about a repository into a `UserError`, and silence its progress bars and messages."""
    utils = hub_library().utils
    verbosity, disabled = utils.logging.get_verbosity(), utils.are_progress_bars_disabled()
    utils.logging.set_verbosity_error()
    utils.disable_progress_bars()
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the client raises errors of its own, of its HTTP library and of the system
        raise UserError(_describe(error, repository, revision)) from None
    finally:
        utils.logging.set_verbosity(verbosity)
        if not disabled:
            utils.enable_progress_bars()


def is_connection_error(error: BaseException) -> bool:
    """Whether an error of the client is about the connection, and no answer of the hub."""
    if getattr(error, "response", None) is not None:
        return False
    kinds = {kind.__name__ for kind in type(error).__mro__}  # of requests, httpx or the system
    return bool(kinds & {"ConnectionError", "TransportError", "Timeout", "TimeoutError", "OfflineModeIsEnabled"})


def _describe(error: BaseException, repository: str, revision: str) -> str:
    answered = getattr(error, "response", None) is not None
    if not (answered or is_connection_error(error)) and error.__cause__ is not None:
        return _describe(error.__cause__, repository, revision)
    errors, place = hub_library().errors, endpoint()
    reason = " ".join(str(error).split())[:200].rstrip(" .") or type(error).__name__
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        return f"{repository} is gated: ask for access at {place}/{repository}, then log in with hf auth login"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repository} at {place} has no revision {revision or 'main'!r}; its page lists branches and commits"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"there is no model {repository} at {place} that you can read; check the name, or log in with hf auth "
            f"login if it is private"
        )
    if status == 401:
        return f"{place} does not accept the token; log in again with hf auth login, or correct HF_TOKEN"
    if status == 403:
        return (
            f"the token may not write to {repository}; use one with write access ({place}/settings/tokens), or a name "
            f"of your own"
        )
    if status is not None:
        return f"{place} answers with status {status} for {repository} ({reason}); try again later"
    if is_connection_error(error):
        return f"{place} cannot be reached for {repository} ({reason}); check the connection"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{repository} cannot be stored: {os_reason(error)}"
    return f"{repository} at {place} cannot be used: {reason}"
