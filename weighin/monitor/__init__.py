"""What is watched after a release."""
