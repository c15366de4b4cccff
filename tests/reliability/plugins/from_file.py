"""A plugin as the manifest at ``PLUGIN_JSON`` says: ``python -m tests.reliability.plugins.from_file``."""

import os
import sys

from contracts import PlexicaError
from plugin_runtime import Plugin

if __name__ == "__main__":
    try:
        plugin = Plugin.from_manifest(os.environ["PLUGIN_JSON"])
    except PlexicaError as error:
        sys.exit(str(error))
    plugin.run()
