"""``python -m examples.analytics`` runs the plugin until SIGTERM."""

from examples.analytics.plugin import create

if __name__ == "__main__":
    create().run()
