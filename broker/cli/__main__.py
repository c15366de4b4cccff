"""``python -m broker.cli`` is the ``plexica`` command."""

from broker.cli.entry import main

if __name__ == "__main__":
    main()
