"""One module per dependency: how it starts, when it is ready, and what of it one test gets."""
