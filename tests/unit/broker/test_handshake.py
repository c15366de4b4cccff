"""Which runtimes a broker speaks with."""

import pytest

from broker.registry.handshake import check_handshake
from contracts.errors import IncompatibleRuntimeError
from contracts.registry import PROTOCOL


@pytest.mark.parametrize("version", ["0.1.0", "0.1.7", "0.1.0.dev3", "0.1.0rc1", "0.1.2+local"])
def test_runtimes_of_this_line_are_accepted(version: str) -> None:
    check_handshake(PROTOCOL, version)


@pytest.mark.parametrize("version", ["0.0.9", "0.2.0", "0.2.0rc1", "1.0"])
def test_other_runtimes_are_refused_with_what_was_found_and_what_is_accepted(version: str) -> None:
    with pytest.raises(IncompatibleRuntimeError) as caught:
        check_handshake(PROTOCOL, version)

    assert version in caught.value.message
    assert "<0.2" in caught.value.message
    assert caught.value.details["found"] == version


@pytest.mark.parametrize("version", ["", "latest", "1.x"])
def test_a_version_that_cannot_be_read_is_refused_with_a_code(version: str) -> None:
    with pytest.raises(IncompatibleRuntimeError, match="no PEP 440 version"):
        check_handshake(PROTOCOL, version)


def test_another_protocol_is_refused() -> None:
    with pytest.raises(IncompatibleRuntimeError, match="protocol 99"):
        check_handshake(99, "0.1.0")
