"""The bus and the portal of tests/portal, for the keyboard that listens there."""

from __future__ import annotations

from tests.portal.conftest import bus_address, portal

__all__ = ["bus_address", "portal"]
