"""Everything that a validation judges, fixed once: models, datasets and logged requests."""
