"""The one rule by which a version is chosen, and what its refusals carry."""

import pytest

from contracts.discovery import choose
from contracts.errors import CodedError, ServiceNotFoundError, VersionMismatchError
from contracts.registry import ServiceRecord, ServiceStatus

SERVICE = "crm.contacts"


def record(version: str, status: ServiceStatus = "HEALTHY") -> ServiceRecord:
    return ServiceRecord(
        id=f"{SERVICE}@{version}", plugin_id="plugin-crm", service_name=SERVICE, version=version, status=status
    )


@pytest.mark.parametrize(
    ("status", "range_", "error"),
    [
        ("HEALTHY", "^3.0.0", VersionMismatchError),
        ("UNAVAILABLE", "*", ServiceNotFoundError),
    ],
)
def test_both_refusals_name_service_range_and_versions_by_precedence(
    status: ServiceStatus, range_: str, error: type[CodedError]
) -> None:
    """1.10.0 comes after 1.9.0, whatever the alphabet says."""
    with pytest.raises(error) as caught:
        choose(SERVICE, [record("1.10.0", status), record("1.9.0", status), record("1.9.0-rc.1", status)], range_)

    assert caught.value.details == {"service": SERVICE, "range": range_, "versions": ["1.9.0-rc.1", "1.9.0", "1.10.0"]}
