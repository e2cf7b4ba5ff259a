"""Model registries: where versions, aliases and artifacts live."""
