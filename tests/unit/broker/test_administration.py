"""Who may administer."""

import pytest

from broker.administration import Administration
from contracts.errors import PermissionDeniedError


def test_a_plugin_that_is_no_operator_is_told_what_it_asked_and_what_to_do() -> None:
    with pytest.raises(PermissionDeniedError) as caught:
        Administration(operators=frozenset({"plugin-ops"})).require("plugin-shop", "install plugin-crm in tenant acme")

    assert caught.value.message == (
        "Plugin plugin-shop may not install plugin-crm in tenant acme: name it in PLEXICA_OPERATORS on the broker, or "
        "use the command 'plexica'"
    )
    assert caught.value.details == {"missing": "operator", "caller": "plugin-shop"}


@pytest.mark.parametrize("caller", ["plugin-ops", "plugin-plexica"])
def test_operators_and_the_command_line_may_administer(caller: str) -> None:
    Administration(operators=frozenset({"plugin-ops"})).require(caller, "create tenant acme")


def test_the_broker_admits_nobody_by_default() -> None:
    assert not Administration().admits("plugin-ops")


def test_in_development_everybody_may_administer() -> None:
    assert Administration(is_open=True).admits("plugin-shop")
