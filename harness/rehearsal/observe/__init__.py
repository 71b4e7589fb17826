"""What the cluster's stores of spans and logs say, asked and put together for a person or a script."""
