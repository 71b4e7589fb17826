"""What the services' operations cost: CPU time for one request, held against what is committed."""
