"""A script asks a plugin over RabbitMQ: ``python -m examples.ask``, while broker and CRM run."""

import asyncio

from plugin_runtime import Plugin, configure_logs

script = Plugin.from_manifest(
    {
        "id": "plugin-script",
        "name": "Script",
        "version": "1.0.0",
        "api": {
            "dependencies": [
                {"pluginId": "plugin-crm", "serviceName": "crm.contacts", "version": "^1.0.0", "required": False}
            ]
        },
    }
)


async def main() -> None:
    async with script.connected():
        contact = await script.tenant().service("crm.contacts").get("/contacts/cnt_1")
        print(contact["name"], "of", contact["company"])


if __name__ == "__main__":
    configure_logs(level="error")
    asyncio.run(main())
