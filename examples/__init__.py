"""The demonstration that `ingot demo` runs, its two trained models and the scripts that trained them."""
