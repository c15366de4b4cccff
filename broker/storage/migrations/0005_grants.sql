-- The keys by which grants are signed. A retired key signs no more, so its private half is gone; its public half stays
-- until nothing that it signed can still be under way. Both are raw Ed25519 keys (RFC 8032); times are Unix seconds.
CREATE TABLE signing_keys (
    id TEXT PRIMARY KEY,
    private BLOB,
    public BLOB NOT NULL,
    created_at REAL NOT NULL,
    retired_at REAL,
    CHECK ((private IS NULL) = (retired_at IS NOT NULL))
) STRICT;

-- What a plugin version was granted when it was installed: it counts as long as that version is installed.
CREATE TABLE permissions (
    tenant TEXT NOT NULL,
    plugin_id TEXT NOT NULL,
    plugin_version TEXT NOT NULL,
    permission TEXT NOT NULL,
    PRIMARY KEY (tenant, plugin_id, plugin_version, permission)
) STRICT, WITHOUT ROWID;

-- What was installed before there were grants was never asked about: it keeps what it declares now.
INSERT OR IGNORE INTO permissions (tenant, plugin_id, plugin_version, permission)
SELECT installed.tenant, installed.plugin_id, installed.version, asked.value
FROM installations AS installed
JOIN dependencies AS declared
    ON declared.plugin_id = installed.plugin_id AND declared.plugin_version = installed.version
JOIN json_each(declared.document, '$.permissions') AS asked;
