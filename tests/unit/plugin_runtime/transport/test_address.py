"""The address of RabbitMQ."""

import pytest

from contracts.errors import InvalidUrlError
from plugin_runtime.transport.address import HEARTBEAT_SECONDS, Address


def test_address_shows_everything_but_the_password() -> None:
    address = Address.parse("amqps://plugin-crm:s%40cret@rabbit.example:5671/bus?heartbeat=7&cafile=ca.pem")

    assert address.shown == "amqps://plugin-crm@rabbit.example:5671/bus"
    assert (address.login, address.host, address.heartbeat_seconds) == ("plugin-crm", "rabbit.example", 7)


def test_address_has_defaults() -> None:
    address = Address.parse("amqp://localhost")

    assert (address.login, address.heartbeat_seconds, address.shown) == (
        "guest",
        HEARTBEAT_SECONDS,
        "amqp://localhost",
    )


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("rabbit", False),
    ],
)
def test_loopback_is_this_machine(host: str, is_loopback: bool) -> None:
    assert Address.parse(f"amqp://{host}/").is_loopback is is_loopback


@pytest.mark.parametrize("url", ["", "rabbit", "http://rabbit/", "amqp://", "amqp://u:secret@rabbit/?heartbeat=soon"])
def test_what_is_no_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidUrlError) as caught:
        Address.parse(url)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("seconds", ["65535", "99999999999"])
def test_a_heartbeat_that_amqp_cannot_say_is_refused_rather_than_left_out(seconds: str) -> None:
    with pytest.raises(InvalidUrlError, match=r"is too long: at most 65534 seconds$"):
        Address.parse(f"amqp://rabbit/?heartbeat={seconds}")


@pytest.mark.parametrize(
    ("path", "vhost"), [("", "/"), ("/", "/"), ("/%2F", "/"), ("//", "/"), ("/bus", "bus"), ("/a%20b", "a b")]
)
def test_the_vhost_is_the_path_without_its_slash(path: str, vhost: str) -> None:
    assert Address.parse(f"amqp://localhost{path}").vhost == vhost
