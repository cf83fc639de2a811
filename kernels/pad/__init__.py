"""Elements added or taken away at the ends of axes."""
