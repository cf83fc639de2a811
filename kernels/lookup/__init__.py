"""Functions of one int8, by table."""
