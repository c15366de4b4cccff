"""What the bus costs, measured: `compare` beside its peers, the others by themselves; each tells how it is run."""
