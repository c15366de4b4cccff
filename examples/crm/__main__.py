"""``python -m examples.crm`` runs the plugin until SIGTERM."""

from examples.crm.plugin import create

if __name__ == "__main__":
    create().run()
