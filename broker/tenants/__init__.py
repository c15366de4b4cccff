"""Which tenants there are."""
