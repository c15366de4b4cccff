-- What a plugin version asks for: its manifest's dependencies, unless declared anew. document is a Dependency as JSON.
CREATE TABLE dependencies (
    plugin_id TEXT NOT NULL,
    plugin_version TEXT NOT NULL,
    position INTEGER NOT NULL,
    target TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (plugin_id, plugin_version, position),
    FOREIGN KEY (plugin_id, plugin_version) REFERENCES plugins (id, version) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX dependencies_by_target ON dependencies (target);

-- Why an installed plugin is DEGRADED: the resolver's lines, by tenant.
CREATE TABLE unmet (
    tenant TEXT NOT NULL,
    plugin_id TEXT NOT NULL,
    plugin_version TEXT NOT NULL,
    reasons TEXT NOT NULL,
    PRIMARY KEY (plugin_id, plugin_version, tenant)
) STRICT, WITHOUT ROWID;
