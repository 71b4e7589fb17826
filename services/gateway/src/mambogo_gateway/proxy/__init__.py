"""The data plane: bytes from a client's socket to a pod's and back, without a task per request."""
