"""What every layer stands on: catalogue, events, journal, verdicts, errors, waiting, processes."""
