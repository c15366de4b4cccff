"""The one rule by which a version is chosen, and what its refusals carry."""

import pytest

from contracts.discovery import choose
from contracts.errors import CodedError, ServiceNotFoundError, VersionMismatchError
from contracts.registry import ServiceRecord, ServiceStatus

SERVICE = "crm.contacts"


def record(version: str, status: ServiceStatus = "HEALTHY", plugins: tuple[str, ...] = ()) -> ServiceRecord:
    return ServiceRecord(
        id=f"{SERVICE}@{version}",
        plugin_id="plugin-crm",
        service_name=SERVICE,
        version=version,
        plugin_versions=plugins,
        status=status,
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


def test_a_version_must_be_in_every_range() -> None:
    records = [record("1.0.0"), record("1.4.0"), record("1.5.0"), record("2.0.0")]

    assert choose(SERVICE, records, "^1.0.0", "<1.5").version == "1.4.0"
    with pytest.raises(VersionMismatchError, match=r"no version in \^1\.0\.0 and >=2; installed: 1\.0\.0, 1\.4\.0"):
        choose(SERVICE, records, "^1.0.0", ">=2")


def test_without_a_range_the_highest_is_chosen_and_a_prerelease_only_when_nothing_else_is_there() -> None:
    assert choose(SERVICE, [record("1.0.0"), record("2.0.0-rc.1")]).version == "1.0.0"
    assert choose(SERVICE, [record("2.0.0-rc.1")]).version == "2.0.0-rc.1"


def test_a_range_for_the_plugin_admits_services_of_any_version() -> None:
    """What a dependency on a plugin as a whole asks for."""
    records = [record("7.0.0", plugins=("1.9.0", "2.0.0")), record("8.0.0", plugins=("3.0.0",))]

    assert choose(SERVICE, records, plugin_range="^1.0.0").version == "7.0.0"
    assert choose(SERVICE, records, plugin_range=">=1").version == "8.0.0"
    with pytest.raises(
        VersionMismatchError, match=r"installed: 7\.0\.0, 8\.0\.0 from plugin-crm 1\.9\.0, 2\.0\.0, 3"
    ) as caught:
        choose(SERVICE, records, plugin_range="^4.0.0")
    assert caught.value.details == {
        "service": SERVICE,
        "range": "*",
        "pluginRange": "^4.0.0",
        "versions": ["7.0.0", "8.0.0"],
    }
