"""``python -m examples.invoicing`` runs the plugin until SIGTERM."""

from examples.invoicing.plugin import create

if __name__ == "__main__":
    create().run()
