"""Regular pieces of a tensor."""
