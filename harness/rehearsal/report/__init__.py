"""The report of a run: built from its events, written as `report.json`, rendered in every form."""
