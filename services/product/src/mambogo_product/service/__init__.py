"""What can be done with the catalogue: reads around the cache, and changes in one transaction each."""
