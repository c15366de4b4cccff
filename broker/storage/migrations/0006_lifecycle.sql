-- A plugin version in a tenant. A superseded one lingers: it stays bound until nobody needs it; of each major at most
-- one is current. What force overrode stays written: when, and the reasons as a JSON list of lines.
CREATE TABLE installations_with_succession (
    tenant TEXT NOT NULL REFERENCES tenants (id),
    plugin_id TEXT NOT NULL,
    major INTEGER NOT NULL,
    version TEXT NOT NULL,
    superseded INTEGER NOT NULL DEFAULT 0 CHECK (superseded IN (0, 1)),
    forced_at TEXT,
    forced_reasons TEXT,
    PRIMARY KEY (tenant, plugin_id, version),
    FOREIGN KEY (plugin_id, version) REFERENCES plugins (id, version)
) STRICT, WITHOUT ROWID;

INSERT INTO installations_with_succession (tenant, plugin_id, major, version)
SELECT tenant, plugin_id, major, version FROM installations;

DROP TABLE installations;

ALTER TABLE installations_with_succession RENAME TO installations;

CREATE INDEX installations_by_plugin ON installations (plugin_id, version);

CREATE UNIQUE INDEX current_installations ON installations (tenant, plugin_id, major) WHERE superseded = 0;

CREATE INDEX superseded_installations ON installations (plugin_id, tenant) WHERE superseded = 1;

-- Queues that nothing asks for any more, each to be deleted once nobody consumes it. subscription: whose events it
-- holds, if any; while the plugin is installed somewhere, those go only when all of that subscription are empty.
CREATE TABLE leftover_queues (
    name TEXT PRIMARY KEY,
    plugin_id TEXT NOT NULL,
    subscription TEXT
) STRICT, WITHOUT ROWID;
