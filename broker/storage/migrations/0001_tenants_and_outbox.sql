-- Who there is.
CREATE TABLE tenants (
    id TEXT PRIMARY KEY,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
) STRICT;

-- What was decided and is still to be announced, in the order of the decisions.
-- AUTOINCREMENT: an id is never given twice, not even after the newest row went.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    exchange TEXT NOT NULL CHECK (exchange IN ('registry', 'data')),
    routing_key TEXT NOT NULL,
    type TEXT NOT NULL,
    tenant TEXT NOT NULL,
    body TEXT NOT NULL,
    headers TEXT NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (CAST(strftime('%s', 'now') AS INTEGER))
) STRICT;
