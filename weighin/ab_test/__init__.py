"""An A/B test on the prediction log: units, what became of them, and the decision, whenever it is asked for."""
