"""What differs on a machine of one's own besides sizes: images, ports, secrets, volumes that stay. Pure."""

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
    "rehearsal/nginx": "nginx",
    "rehearsal/prometheus": "prometheus-server",
    "rehearsal/alertmanager": "alertmanager",
    "rehearsal/exporters": "exporters",
    "rehearsal/collector": "collector",
    "rehearsal/victoria-logs": "victoria-logs-server",
    "rehearsal/zipkin": "zipkin",
}
# Those that not every machine can have; what runs them is in a folder of its own, and left out elsewhere.
OPTIONAL = {"rehearsal/grafana": "grafana"}
_DOWN_POLICY = "tilt.dev/down-policy"


@dataclass(frozen=True, slots=True)
class Locality:
    """What one machine gives."""

    images: Mapping[str, str]  # reference by name of the supply
    node_ports: Mapping[tuple[str, str], int]  # by the names of Service and port

    @classmethod
    def of(cls, catalogue: Catalogue, images: Mapping[str, str]) -> Locality:
        """Return what the catalogue says."""
        ports = catalogue.node_ports
        return cls(
            images,
            {
                ("cdn", "http"): ports.http,
                ("cdn", "https"): ports.https,
                ("kafka-host", "kafka"): ports.kafka,
                ("keycloak", "http"): ports.identity,
                ("payment-sandbox", "http"): ports.sandbox,
                ("prometheus", "http"): ports.prometheus,
                ("alertmanager", "http"): ports.alertmanager,
                ("victoria-logs", "http"): ports.logs,
                ("zipkin", "http"): ports.traces,
            },
        )


def localise(objects: Sequence[Manifest], here: Locality) -> list[Manifest]:
    """Return the objects as they run here; the given ones stay as they are.

    Secrets are left out: they are made outside, and what deploys the rest never sees a value.
    """
    local = [one for one in deepcopy(list(objects)) if one["kind"] != "Secret"]
    for container in containers(local):
        name = container["image"].partition(":")[0]
        if supply := SUPPLIED.get(name) or OPTIONAL.get(name):
            container["image"] = here.images[supply]
        # Tags here say the content; asking the registry again at each start gains nothing.
        container["imagePullPolicy"] = "IfNotPresent"
    for one in local:
        if one["kind"] == "PersistentVolumeClaim":
            # Else `tilt down` takes the data with it: the storage class removes what nobody claims.
            one["metadata"].setdefault("annotations", {})[_DOWN_POLICY] = "keep"
    for (service, name), number in here.node_ports.items():
        ports = named(local, "Service", service)["spec"]["ports"]
        next(port for port in ports if port["name"] == name)["nodePort"] = number
    return local
