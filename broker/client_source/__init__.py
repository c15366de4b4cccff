"""The source of typed clients: from a service's endpoints and their JSON Schemas to one Python module."""
