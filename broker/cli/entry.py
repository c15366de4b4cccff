"""The entry point of ``plexica``."""

import sys


def main() -> None:
    """Run the command; without the extra that it needs, say which one, rather than how Python failed."""
    try:
        from broker.cli.app import main as run
    except ModuleNotFoundError as error:
        sys.exit(f"plexica needs '{error.name}', which is not installed: pip install 'plexica-bus[cli]'")
    run()
