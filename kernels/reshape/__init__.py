"""Other extents for the same elements: an alias, never a copy."""
