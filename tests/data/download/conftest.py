"""Servers, and what they serve, for tests of downloads."""

from download_sites import dtd, made, original, root  # noqa: F401
from servers import hub, site  # noqa: F401
