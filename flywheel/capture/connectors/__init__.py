"""Connectors: how other systems' deliveries become rows to capture. Registered here, one entry each.

A new connector is a module beside this one and an entry in `CONNECTORS`. Its key is what a source stores as its kind.
"""

from flywheel.capture.connectors.base import (
    Connector,
    ConnectorError,
    Cursor,
    Options,
    PullConnector,
    Pulled,
    ReceiveConnector,
)
from flywheel.capture.connectors.folder import FileFolder
from flywheel.capture.connectors.webhook import Webhook

CONNECTORS: dict[str, Connector] = {
    "generic": Webhook(),
    "files": FileFolder(),
}

__all__ = [
    "CONNECTORS", "Connector", "ConnectorError", "Cursor", "Options", "PullConnector", "Pulled", "ReceiveConnector",
    "connector_choices",
]


def connector_choices() -> list[tuple[str, str]]:
    """Keys and titles, as Django's fields and forms take choices."""
    return [(key, connector.title) for key, connector in CONNECTORS.items()]
