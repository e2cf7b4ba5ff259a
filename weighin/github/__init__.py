"""What speaks with GitHub, from the host of a workflow. Standard library only."""
