"""What runs on the cluster: the Tilt session that brings it up."""
