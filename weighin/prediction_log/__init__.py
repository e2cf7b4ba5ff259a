"""The log of predictions: its tables, who writes it, where it is kept, who reads it, and what is removed when."""
