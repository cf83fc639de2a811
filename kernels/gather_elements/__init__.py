"""Elements chosen by index along one axis."""
