"""ArgMax and ArgMin."""
