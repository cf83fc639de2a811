"""Upper and lower triangles."""
