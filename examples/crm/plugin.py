"""The CRM plugin: its manifest, its store, and the two services it offers."""

from pathlib import Path

from examples.crm.contacts import serve_contacts
from examples.crm.deals import serve_deals
from examples.crm.store import Store
from plugin_runtime import Plugin


def create() -> Plugin:
    """A CRM with a store of its own; every tenant begins with the sample data."""
    crm = Plugin.from_manifest(Path(__file__).with_name("plugin.json"))
    store = Store()
    serve_contacts(crm, store)
    serve_deals(crm, store)
    return crm
