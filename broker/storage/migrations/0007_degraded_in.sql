-- The tenants announced last with a status: there the service's plugin lacked a required dependency. A JSON list.
ALTER TABLE service_statuses ADD COLUMN degraded_in TEXT NOT NULL DEFAULT '[]';
