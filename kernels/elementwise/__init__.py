"""Functions applied element by element, with broadcasting; chains of them in one step."""
