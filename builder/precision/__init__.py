"""Mixed precision: which layers stay out of int8, by measuring, and the error that each layer makes."""
