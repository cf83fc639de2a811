"""Layer, RMS, instance, group and batch normalisation."""
