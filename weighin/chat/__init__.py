"""Language models behind an OpenAI-compatible endpoint, as a candidate and as a judge."""
