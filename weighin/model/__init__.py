"""The models that are judged: their identity, their predictions, their SHAP values. Models are loaded here only."""
