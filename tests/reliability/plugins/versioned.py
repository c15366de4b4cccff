"""A CRM at the version that ``CRM_VERSION`` names: ``python -m tests.reliability.plugins.versioned``.

Its service has the same version, unless ``CRM_SERVICE_VERSION`` names another.
It answers with its version, and writes the id of each POST that it ran to the file that ``CRM_RECORD`` names.
"""

import asyncio
import os
from pathlib import Path

from plugin_runtime import Call, Plugin

VERSION = os.environ.get("CRM_VERSION", "1.4.0")
WORK_SECONDS = 0.01

crm = Plugin.from_manifest(
    {
        "id": "plugin-crm",
        "name": "CRM",
        "version": VERSION,
        "api": {
            "services": [
                {
                    "name": "crm.contacts",
                    "version": os.environ.get("CRM_SERVICE_VERSION", VERSION),
                    "endpoints": [{"method": "GET", "path": "/contacts"}, {"method": "POST", "path": "/contacts"}],
                }
            ]
        },
    }
)
contacts = crm.service("crm.contacts")


@contacts.get("/contacts")
async def look(call: Call) -> str:
    del call
    await asyncio.sleep(WORK_SECONDS)
    return VERSION


@contacts.post("/contacts")
async def create(call: Call) -> str:
    # One write of one short line to a file opened for appending: no two processes mix theirs.
    with Path(os.environ["CRM_RECORD"]).open("a", encoding="utf-8") as record:  # noqa: ASYNC230
        record.write(f"{call.body['id']}\n")
    await asyncio.sleep(WORK_SECONDS)
    return VERSION


if __name__ == "__main__":
    crm.run()
