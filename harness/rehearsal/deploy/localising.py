"""What differs on a machine of one's own besides sizes: images, ports, secrets. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

from rehearsal.core.catalogue import Catalogue
from rehearsal.deploy.manifests import Manifest, containers, named

# Images that are supplies, by the name that the manifests use.
SUPPLIED = {
    "mambogo/config-server": "config-server",
    "mambogo/eureka-server": "eureka",
    "rehearsal/postgres": "postgres",
    "rehearsal/redis": "redis",
    "rehearsal/kafka": "kafka",
    "rehearsal/keycloak": "keycloak",
}


@dataclass(frozen=True, slots=True)
class Locality:
    """What one machine gives."""

    images: Mapping[str, str]  # reference by name of the supply
    node_ports: Mapping[str, int]  # by name of the Service

    @classmethod
    def of(cls, catalogue: Catalogue, images: Mapping[str, str]) -> Locality:
        """Return what the catalogue says."""
        ports = catalogue.node_ports
        return cls(
            images,
            {
                "gateway-service": ports.http,
                "kafka-host": ports.kafka,
                "keycloak": ports.identity,
                "payment-sandbox": ports.sandbox,
            },
        )


def localise(objects: Sequence[Manifest], here: Locality) -> list[Manifest]:
    """Return the objects as they run here; the given ones stay as they are.

    Secrets are left out: they are made outside, and what deploys the rest never sees a value.
    """
    local = [one for one in deepcopy(list(objects)) if one["kind"] != "Secret"]
    for container in containers(local):
        supply = SUPPLIED.get(container["image"].partition(":")[0])
        if supply:
            container["image"] = here.images[supply]
        # Tags here say the content; asking the registry again at each start gains nothing.
        container["imagePullPolicy"] = "IfNotPresent"
    for service, port in here.node_ports.items():
        named(local, "Service", service)["spec"]["ports"][0]["nodePort"] = port
    return local
