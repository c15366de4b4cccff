-- What each registered instance hears. Those that were registered before this was noted count as hearing all that
-- their major does, until they register again.
CREATE TABLE instance_subscriptions (
    instance_id TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('events', 'data')),
    pattern TEXT NOT NULL,
    broadcast INTEGER NOT NULL,
    PRIMARY KEY (instance_id, name)
) STRICT, WITHOUT ROWID;

INSERT INTO instance_subscriptions (instance_id, name, source, pattern, broadcast)
SELECT instances.id, heard.name, heard.source, heard.pattern, heard.broadcast FROM instances
JOIN subscriptions AS heard ON heard.plugin_id = instances.plugin_id
    AND heard.major = CAST(substr(instances.plugin_version, 1, instr(instances.plugin_version, '.') - 1) AS INTEGER);

-- What a plugin's major hears, all its instances together; it stays when they go. While instances differ, one name may
-- stand for several patterns.
CREATE TABLE subscriptions_of_all (
    plugin_id TEXT NOT NULL,
    major INTEGER NOT NULL,
    name TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('events', 'data')),
    pattern TEXT NOT NULL,
    broadcast INTEGER NOT NULL,
    PRIMARY KEY (plugin_id, major, name, source, pattern, broadcast)
) STRICT, WITHOUT ROWID;

INSERT INTO subscriptions_of_all (plugin_id, major, name, source, pattern, broadcast)
SELECT plugin_id, major, name, source, pattern, broadcast FROM subscriptions;

DROP TABLE subscriptions;

ALTER TABLE subscriptions_of_all RENAME TO subscriptions;
