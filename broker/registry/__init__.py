"""Who is there: instances, leases, services and their announcements."""
