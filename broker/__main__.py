"""``python -m broker`` runs the broker as the environment says; it needs no command line extra."""

import sys

from contracts.errors import PlexicaError

try:
    from broker.process import run_broker
    from broker.settings import BrokerSettings
except ModuleNotFoundError as error:
    sys.exit(f"the broker needs '{error.name}', which is not installed: pip install 'plexica-bus[broker]'")


def main() -> None:
    """Run until SIGTERM; exit status 1 and one line on stderr if it cannot start."""
    try:
        run_broker(BrokerSettings.read())
    except PlexicaError as error:
        sys.exit(f"plexica broker: {error}")


if __name__ == "__main__":
    main()
