"""Real numbers to int8: QuantizeLinear."""
