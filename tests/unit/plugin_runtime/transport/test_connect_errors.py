"""Why no connection could be made, in words that name the address, what to do, and never the password."""

import asyncio
import socket

import pytest
from aiormq.exceptions import AMQPConnectionError, AuthenticationError, InvalidFrameError, ProbableAuthenticationError
from pamqp.commands import Connection

from contracts.errors import LoginRefusedError, MissingVhostError, NotConnectedError, TransportError, UnreachableError
from plugin_runtime.transport.address import Address
from plugin_runtime.transport.amqp import AmqpTransport
from plugin_runtime.transport.connect_errors import connect_error, is_refusal
from plugin_runtime.transport.factory import TransportKind, make_transport
from tests.ports import free_port

ADDRESS = Address.parse("amqp://guest:hush@rabbit.example:5673/nope")
SHOWN = "amqp://guest@rabbit.example:5673/nope"


def caused(cause: OSError) -> AMQPConnectionError:
    """As the AMQP client passes on what the socket said."""
    error = AMQPConnectionError(*cause.args)
    error.__cause__ = cause
    return error


def closed(text: str) -> InvalidFrameError:
    """As the AMQP client takes a Connection.Close where it expects Connection.OpenOk: its text is in a frame only."""

    def open_vhost() -> None:
        frame = Connection.Close(reply_code=530, reply_text=text)
        raise InvalidFrameError(f"expected OpenOk, found {type(frame).__name__}")

    with pytest.raises(InvalidFrameError) as caught:
        open_vhost()
    return caught.value


@pytest.mark.parametrize(
    ("error", "meaning", "text"),
    [
        (
            ProbableAuthenticationError("ACCESS_REFUSED - Login was refused ... see the broker logfile"),
            LoginRefusedError,
            f"RabbitMQ at {SHOWN} refused the password of 'guest', or knows no such user: check PLEXICA_URL",
        ),
        (
            AuthenticationError("EXTERNAL", ["PLAIN"]),
            LoginRefusedError,
            f"RabbitMQ at {SHOWN} takes no password: {AuthenticationError('EXTERNAL', ['PLAIN'])}",
        ),
        (
            closed("NOT_ALLOWED - vhost nope not found"),
            MissingVhostError,
            f"RabbitMQ at {SHOWN} has no vhost 'nope': rabbitmqctl add_vhost nope",
        ),
        (
            closed("NOT_ALLOWED - access to vhost 'nope' refused for user 'guest'"),
            LoginRefusedError,
            (
                f"RabbitMQ at {SHOWN} does not let 'guest' use vhost 'nope':"
                " rabbitmqctl set_permissions -p nope guest '.*' '.*' '.*'"
            ),
        ),
        (
            closed("NOT_ALLOWED - access to vhost 'nope' refused for user 'guest': connection limit (9) is reached"),
            NotConnectedError,
            (
                f"no connection to RabbitMQ at {SHOWN}: NOT_ALLOWED - access to vhost 'nope' refused for user 'guest':"
                " connection limit (9) is reached"
            ),
        ),
        (
            caused(ConnectionRefusedError(111, "Connect call failed")),
            UnreachableError,
            "nobody listens at rabbit.example:5673 (connection refused): is RabbitMQ running, is PLEXICA_URL right?",
        ),
        (
            caused(OSError("Multiple exceptions: [Errno 111] failed ('::1'), [Errno 111] failed ('127.0.0.1')")),
            UnreachableError,
            "nobody listens at rabbit.example:5673 (connection refused): is RabbitMQ running, is PLEXICA_URL right?",
        ),
        (
            caused(socket.gaierror(-2, "Name or service not known")),
            UnreachableError,
            "host name 'rabbit.example' leads nowhere (Name or service not known): is PLEXICA_URL right?",
        ),
        (TimeoutError(), NotConnectedError, f"no connection to RabbitMQ at {SHOWN}: TimeoutError"),
    ],
)
def test_each_failed_attempt_says_what_to_mend(error: Exception, meaning: type[TransportError], text: str) -> None:
    found = connect_error(error, ADDRESS)

    assert (type(found), str(found)) == (meaning, text)


@pytest.mark.parametrize(
    ("error", "refused"),
    [(LoginRefusedError(), True), (MissingVhostError(), True), (UnreachableError(), False), (TransportError(), False)],
)
def test_only_a_refused_login_or_vhost_is_not_worth_another_attempt(error: TransportError, refused: bool) -> None:
    assert is_refusal(error) is refused


def at(port: int, kind: TransportKind) -> AmqpTransport:
    return make_transport(
        kind, f"amqp://guest:hush@127.0.0.1:{port}/", identity="plugin-a", instance="1", patient=False
    )


@pytest.mark.parametrize("kind", ["lean", "aio-pika"])
async def test_an_impatient_transport_tells_of_a_dead_port_at_once(kind: TransportKind) -> None:
    port = free_port()

    with pytest.raises(UnreachableError, match=f"^nobody listens at 127.0.0.1:{port} "):
        await asyncio.wait_for(at(port, kind).open(), 5.0)
