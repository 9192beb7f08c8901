"""Servers for tests of downloads."""

from servers import hub, site  # noqa: F401
