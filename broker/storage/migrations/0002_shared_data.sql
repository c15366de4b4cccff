-- One counter for each namespace. It outlives values and tenant: a tenant that is created anew must not go back to
-- revisions that its readers have seen, hence no reference to tenants.
CREATE TABLE data_revisions (
    tenant TEXT NOT NULL,
    namespace TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (tenant, namespace)
) STRICT, WITHOUT ROWID;

-- expires_at: seconds since the epoch; NULL for never.
CREATE TABLE shared_values (
    tenant TEXT NOT NULL REFERENCES tenants (id),
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    expires_at REAL,
    PRIMARY KEY (tenant, namespace, key)
) STRICT;

CREATE INDEX shared_values_by_expiry ON shared_values (expires_at) WHERE expires_at IS NOT NULL;
