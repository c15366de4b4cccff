"""``python -m examples.marketing`` runs the plugin until SIGTERM."""

from examples.marketing.plugin import create

if __name__ == "__main__":
    create().run()
