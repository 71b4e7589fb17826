"""The registry of stages, and the stages themselves; each emits events and knows no reporter."""
