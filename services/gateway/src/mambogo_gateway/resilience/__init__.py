"""What keeps one failing service from becoming everybody's failure: deadlines, breaker, retry budget."""
