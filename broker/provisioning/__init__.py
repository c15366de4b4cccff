"""From rows to exchanges, queues and bindings."""
