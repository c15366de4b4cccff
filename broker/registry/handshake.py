"""Whether this broker speaks with a plugin's runtime: the protocol's number and the runtime's PEP 440 version. Pure."""

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from contracts.errors import IncompatibleRuntimeError
from contracts.registry import PROTOCOL

ACCEPTED_RUNTIMES = SpecifierSet(">=0.1.0.dev0,<0.2")
"""Versions of ``plugin_runtime`` that this broker speaks with; prereleases of them too."""


def check_handshake(protocol: int, runtime_version: str) -> None:
    """Refuse a runtime that this broker does not speak with.

    Raises:
        IncompatibleRuntimeError: Names what was found and what is accepted; details: ``found`` and ``accepted``.
    """
    if protocol != PROTOCOL:
        raise IncompatibleRuntimeError(
            f"plugin_runtime speaks protocol {protocol}, this broker speaks {PROTOCOL}",
            found=protocol,
            accepted=PROTOCOL,
        )
    accepted = str(ACCEPTED_RUNTIMES)
    try:
        version = Version(runtime_version)
    except InvalidVersion as error:
        raise IncompatibleRuntimeError(
            f"plugin_runtime has version '{runtime_version}', which is no PEP 440 version; accepted is {accepted}",
            found=runtime_version,
            accepted=accepted,
        ) from error
    if not ACCEPTED_RUNTIMES.contains(version, prereleases=True):
        raise IncompatibleRuntimeError(
            f"plugin_runtime {runtime_version} does not speak with this broker: accepted is {accepted}",
            found=runtime_version,
            accepted=accepted,
        )
