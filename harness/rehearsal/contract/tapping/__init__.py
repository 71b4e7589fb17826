"""The tap: every record that a run leaves on Kafka, held against the committed contracts."""
