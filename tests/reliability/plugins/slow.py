"""A plugin whose endpoints take their time: ``python -m tests.reliability.plugins.slow``."""

import asyncio

from plugin_runtime import Call, Plugin

slow = Plugin.from_manifest(
    {
        "id": "plugin-slow",
        "name": "Slow",
        "version": "1.0.0",
        "api": {
            "services": [
                {
                    "name": "slow.work",
                    "version": "1.0.0",
                    "endpoints": [
                        {"method": "GET", "path": "/tasks/:seconds"},
                        {"method": "POST", "path": "/tasks/:seconds"},
                    ],
                }
            ]
        },
    }
)
work = slow.service("slow.work")


@work.get("/tasks/:seconds")
async def look(call: Call, seconds: str) -> str:
    del call
    await asyncio.sleep(float(seconds))
    return "looked"


@work.post("/tasks/:seconds")
async def do(call: Call, seconds: str) -> str:
    del call
    await asyncio.sleep(float(seconds))
    return "done"


if __name__ == "__main__":
    slow.run()
