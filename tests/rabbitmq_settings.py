"""What the private node does differently from an installed one, whatever way it runs."""

DEAD_LETTER_RETRY_SECONDS = 0.2
"""When at-least-once dead lettering tries again to reach a full queue; RabbitMQ's default is three minutes."""

ERLANG_ARGUMENTS = f"-rabbit dead_letter_worker_publisher_confirm_timeout {int(DEAD_LETTER_RETRY_SECONDS * 1000)}"

PLUGINS = ("rabbitmq_event_exchange", "rabbitmq_management")
"""Both come with RabbitMQ; the first makes the exchange `amq.rabbitmq.event`, in the vhost "/" alone."""
