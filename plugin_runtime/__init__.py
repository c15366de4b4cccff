"""What a plugin embeds: define endpoints and subscriptions, call others, publish, share data."""

from plugin_runtime.context import Deadline
from plugin_runtime.events.acknowledgement import Reject
from plugin_runtime.incoming import Call, Change, Event, Refusal, Reply
from plugin_runtime.logs import configure_logs
from plugin_runtime.plugin import Plugin
from plugin_runtime.runner import Runner
from plugin_runtime.service_client import ServiceClient
from plugin_runtime.settings import RuntimeSettings
from plugin_runtime.tenant import TenantClient

__all__ = [
    "Call",
    "Change",
    "Deadline",
    "Event",
    "Plugin",
    "Refusal",
    "Reject",
    "Reply",
    "Runner",
    "RuntimeSettings",
    "ServiceClient",
    "TenantClient",
    "configure_logs",
]
