"""Real plugins, small enough to read in one sitting: CRM, and three that build on it."""
