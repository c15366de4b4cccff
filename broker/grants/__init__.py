"""What the broker vouches for: which plugin may speak for which tenant, and with which permissions."""
