"""The whole main job told in a terminal: `make demo`, or `make demo URL=amqp://...`."""
