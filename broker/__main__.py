"""``python -m broker`` runs the broker as the environment says; it needs no command line extra."""

import sys

from broker.bootstrap import run_broker
from broker.settings import BrokerSettings
from contracts.errors import PlexicaError


def main() -> None:
    """Run until SIGTERM; exit status 1 and one line on stderr if it cannot start."""
    try:
        run_broker(BrokerSettings.read())
    except PlexicaError as error:
        sys.exit(f"plexica broker: {error}")


if __name__ == "__main__":
    main()
