-- Counts announcements on the registry's exchange, so that listeners notice a gap.
CREATE TABLE registry_revision (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    value INTEGER NOT NULL
) STRICT;

INSERT INTO registry_revision (id, value) VALUES (1, 0);

-- Every plugin version the broker knows; manifest is JSON as it was published.
CREATE TABLE plugins (
    id TEXT NOT NULL,
    version TEXT NOT NULL,
    name TEXT NOT NULL,
    manifest TEXT NOT NULL,
    PRIMARY KEY (id, version)
) STRICT, WITHOUT ROWID;

-- What a plugin version offers; document is a Service as JSON.
CREATE TABLE services (
    plugin_id TEXT NOT NULL,
    plugin_version TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (name, plugin_id, plugin_version),
    FOREIGN KEY (plugin_id, plugin_version) REFERENCES plugins (id, version) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX services_by_plugin ON services (plugin_id, plugin_version);

-- Namespaces of shared data with an owner; document is a SharedNamespace as JSON.
CREATE TABLE shared_namespaces (
    plugin_id TEXT NOT NULL,
    plugin_version TEXT NOT NULL,
    namespace TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (namespace, plugin_id, plugin_version),
    FOREIGN KEY (plugin_id, plugin_version) REFERENCES plugins (id, version) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX shared_namespaces_by_plugin ON shared_namespaces (plugin_id, plugin_version);

-- A plugin version in a tenant; at most one of each major, which is why major stands here.
CREATE TABLE installations (
    tenant TEXT NOT NULL REFERENCES tenants (id),
    plugin_id TEXT NOT NULL,
    major INTEGER NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (tenant, plugin_id, major),
    FOREIGN KEY (plugin_id, version) REFERENCES plugins (id, version)
) STRICT, WITHOUT ROWID;

CREATE INDEX installations_by_plugin ON installations (plugin_id, version);

-- Running processes. reported: what the instance says of itself; state: what the broker last made of it.
-- last_heard: seconds since the epoch, written now and then; the broker's memory knows better.
CREATE TABLE instances (
    id TEXT PRIMARY KEY,
    plugin_id TEXT NOT NULL,
    plugin_version TEXT NOT NULL,
    reported TEXT NOT NULL CHECK (reported IN ('HEALTHY', 'DEGRADED')),
    state TEXT NOT NULL CHECK (state IN ('HEALTHY', 'DEGRADED', 'UNAVAILABLE')),
    last_heard REAL NOT NULL,
    FOREIGN KEY (plugin_id, plugin_version) REFERENCES plugins (id, version)
) STRICT, WITHOUT ROWID;

CREATE INDEX instances_by_plugin ON instances (plugin_id, plugin_version);

-- Which instance serves what.
CREATE TABLE service_instances (
    instance_id TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (instance_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX service_instances_by_name ON service_instances (name, version);

-- The status that was announced last, so that each transition is announced once.
CREATE TABLE service_statuses (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('HEALTHY', 'DEGRADED', 'UNAVAILABLE')),
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

-- What a plugin hears. Versions of one major share their subscriptions; the last registration decides.
CREATE TABLE subscriptions (
    plugin_id TEXT NOT NULL,
    major INTEGER NOT NULL,
    name TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('events', 'data')),
    pattern TEXT NOT NULL,
    broadcast INTEGER NOT NULL,
    PRIMARY KEY (plugin_id, major, name)
) STRICT, WITHOUT ROWID;

-- Shared data that an instance's near-cache follows.
CREATE TABLE watches (
    instance_id TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    tenant TEXT NOT NULL,
    pattern TEXT NOT NULL,
    PRIMARY KEY (instance_id, tenant, pattern)
) STRICT, WITHOUT ROWID;

-- Every queue ever declared for a plugin, so that a teardown can delete it.
CREATE TABLE queues (
    name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
