"""What was done by force, written down: an uninstallation leaves no row of its own that could tell."""

import json
from collections.abc import Iterable
from typing import Literal

from broker.storage.database import Transaction
from contracts.dependencies import Installation

Operation = Literal["install", "upgrade", "uninstall", "remove"]

RECORD = """
INSERT INTO overrides (operation, tenant, plugin_id, version, caller, reasons)
VALUES (:operation, :tenant, :plugin, :version, :caller, :reasons)
"""


async def record(
    transaction: Transaction,
    operation: Operation,
    installations: Iterable[Installation],
    *,
    caller: str,
    reasons: Iterable[str],
) -> None:
    """Write that these were put or taken in spite of something; nothing without reasons.

    Args:
        transaction: That of the change, so that neither is without the other.
        operation: What was asked for.
        installations: What was put or taken.
        caller: Who used force.
        reasons: Why it would have been refused.
    """
    against = list(reasons)
    for item in installations if against else ():
        row = {"tenant": item.tenant, "plugin": item.plugin_id, "version": item.version, "caller": caller}
        await transaction.execute(RECORD, {**row, "operation": operation, "reasons": json.dumps(against)})
