"""Who needs whom: resolution, installation and removal."""
