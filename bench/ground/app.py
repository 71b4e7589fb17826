"""A small app on the cluster, as the benchmark of the phases wants it: image, Deployment, Service, NodePort.

The image is the project's own Debian base, pushed to the cluster's registry once; the registry's volume
outlives the cluster, so each run pulls it anew from there.
"""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.stream import stream
from rehearsal.cluster.engine import connect
from rehearsal.core.catalogue import Catalogue

_NAMESPACE = "rehearsal-bench"
_BASE = "rehearsal/debian:bookworm"
_NAME = "web"
# Perl is what a minimal Debian has. It answers each connection with one HTTP response.
_SERVER = (
    "$s=IO::Socket::INET->new(LocalPort=>8000,Listen=>99,ReuseAddr=>1) or die; while($c=$s->accept){"
    'print $c "HTTP/1.0 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok";close $c}'
)


def push_image(settings: Catalogue) -> None:
    """Put the app's image into the registry of the cluster that is there."""
    docker = connect()
    repository = _repository(settings)
    docker.images.get(_BASE).tag(repository, "1")
    for line in docker.images.push(repository, "1", stream=True, decode=True):
        if "error" in line:
            raise SystemExit(f"the app's image cannot be pushed: {line['error']}")
    docker.close()


class App:
    """The app, from nothing to answering."""

    def __init__(self, settings: Catalogue, kubeconfig: Path) -> None:
        self._settings = settings
        self._api = config.new_client_from_config(str(kubeconfig), settings.cluster.context)
        self._core = client.CoreV1Api(self._api)

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def api_answers(self) -> bool:
        """Return whether the API server lists the default namespace's Service, as timeToK8s asks for it."""
        return bool(self._core.list_namespaced_service("default").items)

    def deploy(self) -> None:
        """Apply namespace, Deployment and Service."""
        labels = {"app": _NAME}
        container = {
            "name": "main",
            "image": f"{_repository(self._settings)}:1",
            "command": ["perl", "-MIO::Socket::INET", "-e", _SERVER],
            "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
        }
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        port = {"port": 80, "targetPort": 8000, "nodePort": self._settings.node_ports.echo}
        self._core.create_namespace({"metadata": {"name": _NAMESPACE}})
        client.AppsV1Api(self._api).create_namespaced_deployment(
            _NAMESPACE,
            {
                "metadata": {"name": _NAME},
                "spec": {"selector": {"matchLabels": labels}, "template": template},
            },
        )
        self._core.create_namespaced_service(
            _NAMESPACE,
            {"metadata": {"name": _NAME}, "spec": {"type": "NodePort", "selector": labels, "ports": [port]}},
        )

    def runs(self) -> bool:
        """Return whether the app's pod is ready."""
        return any(
            condition.type == "Ready" and condition.status == "True"
            for pod in self._pods()
            for condition in pod.status.conditions or []
        )

    def name_resolves(self) -> bool:
        """Return whether the app's pod resolves the name of the app's Service."""
        return self._in_pod(f"getent hosts {_service_name()} > /dev/null && echo yes") == "yes"

    def service_answers(self) -> bool:
        """Return whether the app's pod gets an answer from the app's Service by its name."""
        ask = f"exec 3<>/dev/tcp/{_service_name()}/80 && head -c 12 <&3"
        return self._in_pod(ask) == "HTTP/1.0 200"

    def node_port_answers(self) -> bool:
        """Return whether the app answers on 127.0.0.1, by the published NodePort."""
        connection = http.client.HTTPConnection("127.0.0.1", self._settings.ports.echo, timeout=2)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read() == b"ok"
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def metrics_are_served(self) -> bool:
        """Return whether the metrics API has values of the nodes."""
        try:
            found = client.CustomObjectsApi(self._api).list_cluster_custom_object(
                "metrics.k8s.io", "v1beta1", "nodes"
            )
        except client.ApiException:
            return False
        return bool(found["items"])

    def _pods(self) -> list[Any]:
        return list(self._core.list_namespaced_pod(_NAMESPACE, label_selector=f"app={_NAME}").items)

    def _in_pod(self, script: str) -> str:
        name = self._pods()[0].metadata.name
        said = stream(
            self._core.connect_get_namespaced_pod_exec,
            name,
            _NAMESPACE,
            command=["bash", "-c", script],
            stderr=False,
            stdin=False,
            stdout=True,
            tty=False,
        )
        return str(said).strip()


def _repository(settings: Catalogue) -> str:
    return f"localhost:{settings.ports.registry}/rehearsal-bench/debian"


def _service_name() -> str:
    return f"{_NAME}.{_NAMESPACE}.svc.cluster.local"
