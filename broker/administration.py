"""Who may administer: create and remove tenants, install, upgrade, uninstall, publish and remove what is not one's own.

Whoever asks is the publisher that RabbitMQ vouches for, so with a RabbitMQ user for each plugin nobody can pretend to
be an operator. Reading needs no right: what is installed and who needs whom is no secret between plugins of one bus.
"""

from dataclasses import dataclass

from contracts.errors import PermissionDeniedError
from contracts.names import OPERATOR_PLUGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Administration:
    """The operator's choice.

    Attributes:
        operators: Plugins that may administer, beside the command line.
        is_open: Everybody may: development, where whatever registers is installed too.
    """

    operators: frozenset[str] = frozenset()
    is_open: bool = False

    def admits(self, caller: str) -> bool:
        """Whether a plugin may administer."""
        return self.is_open or caller == OPERATOR_PLUGIN or caller in self.operators

    def require(self, caller: str, what: str) -> None:
        """Refuse a plugin that may not administer.

        Args:
            caller: Who asks.
            what: What it asked for, e.g. ``install plugin-crm in tenant acme-corp``.

        Raises:
            PermissionDeniedError: It says who asked for what, and what to do; details: ``missing``, ``caller``.
        """
        if not self.admits(caller):
            raise PermissionDeniedError(
                f"Plugin {caller} may not {what}: name it in PLEXICA_OPERATORS on the broker, or use the command "
                "'plexica'",
                missing="operator",
                caller=caller,
            )
