"""Texts and errors of strangers: read within bounds, and reduced to what may be shown."""
