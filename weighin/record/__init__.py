"""Evidence on disk: what a suite leaves, and the decision record made of it."""
