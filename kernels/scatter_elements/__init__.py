"""Elements replaced or combined by index along one axis."""
