"""A model in production: a server that follows the champion and says which model it serves."""
