"""The kind cluster: nodes, network, registry, add-ons; made, repaired and removed."""
