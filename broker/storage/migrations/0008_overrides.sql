-- What was refused and then done by force: by whom, and what stood against it, as a JSON list of lines. It outlives the
-- plugin and the tenant, so it refers to neither.
CREATE TABLE overrides (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
    operation TEXT NOT NULL CHECK (operation IN ('install', 'upgrade', 'uninstall', 'remove')),
    tenant TEXT NOT NULL,
    plugin_id TEXT NOT NULL,
    version TEXT NOT NULL,
    caller TEXT NOT NULL,
    reasons TEXT NOT NULL
) STRICT;
