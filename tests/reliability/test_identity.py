"""Who vouches for a publisher, and who is let in."""

import pytest
from structlog.testing import capture_logs

from contracts.errors import LoginRefusedError, MissingVhostError, PublisherRefusedError, StartError
from contracts.topology import Exchange, Queue
from plugin_runtime.transport.amqp import AmqpTransport
from tests.conformance.collector import Collector, lay, make_message
from tests.rabbitmq import RabbitMQNode
from tests.reliability.conftest import MakeTransport

ALL = ".*"


async def test_own_user_makes_rabbitmq_vouch(
    rabbitmq_node: RabbitMQNode, vhost: str, make_transport: MakeTransport
) -> None:
    """Every message carries the checked ``user_id``; one without it has no publisher, whatever its ``app_id`` says."""
    rabbitmq_node.create_user("plugin-v", "secret", vhost, configure=ALL, write=ALL, read=ALL)
    verified = make_transport(rabbitmq_node.url(vhost, "plugin-v", "secret"), "plugin-v", insecure=False)
    unverified, collector = make_transport(rabbitmq_node.url(vhost), "plugin-v"), Collector()

    with capture_logs() as logs:
        await verified.open()
    await unverified.open()
    await lay(verified, Queue(name="q"), "k")
    await verified.publish(make_message("true"), exchange="x", routing_key="k")
    await unverified.publish(make_message("false"), exchange="x", routing_key="k")
    await verified.consume("q", collector, prefetch=2, role="r")
    true, false = await collector.acknowledged(2)

    assert (true.publisher, true.message.user_id) == ("plugin-v", "plugin-v")
    assert (false.publisher, false.message.app_id) == (None, "plugin-v")
    assert not [one for one in logs if one["event"] == "identity.unverified"]


async def test_write_without_permission_is_refused(
    rabbitmq_node: RabbitMQNode, vhost: str, vhost_url: str, make_transport: MakeTransport
) -> None:
    rabbitmq_node.create_user("plugin-w", "secret", vhost, write="^x$", read=ALL)
    admin, plugin = (
        make_transport(vhost_url),
        make_transport(rabbitmq_node.url(vhost, "plugin-w", "secret"), "plugin-w"),
    )
    await admin.open()
    await plugin.open()
    await lay(admin, Queue(name="q"), "k")
    await admin.declare_exchange(Exchange("forbidden"))

    with pytest.raises(PublisherRefusedError):
        await plugin.publish(make_message(), exchange="forbidden", routing_key="k")
    with pytest.raises(PublisherRefusedError):
        await plugin.publish(make_message(), exchange="", routing_key="q")
    with pytest.raises(PublisherRefusedError):
        await plugin.declare_queue(Queue(name="mine"))
    await plugin.publish(make_message(), exchange="x", routing_key="k")


async def test_wrong_password_is_refused_at_once(
    rabbitmq_node: RabbitMQNode, vhost: str, make_transport: MakeTransport
) -> None:
    with pytest.raises(LoginRefusedError, match="refused the password of 'guest'") as caught:
        await make_transport(rabbitmq_node.url(vhost, "guest", "wrong")).open()

    assert "wrong" not in str(caught.value)


async def test_unknown_vhost_is_missing(rabbitmq_node: RabbitMQNode, make_transport: MakeTransport) -> None:
    with pytest.raises(MissingVhostError, match="has no vhost 'nowhere'"):
        await make_transport(rabbitmq_node.url("nowhere")).open()


async def test_vhost_without_permission_is_refused(
    rabbitmq_node: RabbitMQNode, vhost: str, make_transport: MakeTransport
) -> None:
    rabbitmq_node.create_user("plugin-x", "secret", vhost)

    with pytest.raises(LoginRefusedError, match="does not let 'plugin-x' use vhost '/': rabbitmqctl set_permissions"):
        await make_transport(rabbitmq_node.url("%2F", "plugin-x", "secret"), "plugin-x").open()


async def test_shared_login_off_loopback_does_not_start() -> None:
    transport = AmqpTransport("amqp://shared:secret@rabbit.example/bus", identity="plugin-a", instance="1")

    with pytest.raises(StartError, match="PLEXICA_INSECURE=yes") as caught:
        await transport.open()

    assert "secret" not in str(caught.value)
