"""Arguments, console output and exit codes."""
