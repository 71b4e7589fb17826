"""A place on the cluster where tests put pods and read what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kubernetes import client, config
from rehearsal.core.waiting import NotYet, wait_until

_POD_SECONDS = 90.0
_HINT = "`kubectl describe pods -A` says why."


class Bench:
    """One namespace; pods in it run one script each."""

    def __init__(self, kubeconfig: Path, context: str, namespace: str, image: str) -> None:
        self.namespace = namespace
        self.image = image
        self._api = config.new_client_from_config(str(kubeconfig), context)
        self.core = client.CoreV1Api(self._api)
        self.apps = client.AppsV1Api(self._api)
        self.autoscaling = client.AutoscalingV2Api(self._api)

    def open(self) -> None:
        """Make the namespace."""
        self.core.create_namespace({"metadata": {"name": self.namespace}})

    def close(self) -> None:
        """Remove the namespace and all in it."""
        self.core.delete_namespace(self.namespace)
        self._api.close()

    def run(
        self,
        name: str,
        script: str,
        *,
        claim: str | None = None,
        user: int = 65534,
        node: str | None = None,
    ) -> str:
        """Run a script in a pod of its own to its end and return what it printed."""
        # One pipe: of two the engine logs the lines in whatever order it comes to read them.
        pod = self._pod(name, f"exec 2>&1; {script}", claim, user)
        if node:
            # By the scheduler: a pod that names its node goes past it, and past its volumes' places.
            pod["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node}
            pod["spec"]["tolerations"] = [{"operator": "Exists"}]
        self.core.create_namespaced_pod(self.namespace, pod)

        def ended() -> str:
            pod = self.core.read_namespaced_pod(name, self.namespace)
            if pod.status.phase not in ("Succeeded", "Failed"):
                raise NotYet(pod.status.phase)
            return str(pod.status.phase)

        phase = wait_until(f"pod {name}", ended, timeout_seconds=_POD_SECONDS, hint=_HINT)
        said = str(self.core.read_namespaced_pod_log(name, self.namespace))
        self.core.delete_namespaced_pod(name, self.namespace, grace_period_seconds=0)
        assert phase == "Succeeded", said
        return said

    def serve(
        self,
        name: str,
        script: str,
        *,
        on_every_node: bool = False,
        cpu: str = "10m",
        node_port: int | None = None,
    ) -> None:
        """Keep a script running behind a Service `name`, port 80 to the script's 8000."""
        labels = {"app": name}
        template = {
            "metadata": {"labels": labels},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "tolerations": [{"operator": "Exists"}] if on_every_node else [],
                "containers": [
                    {
                        "name": "main",
                        "image": self.image,
                        "command": ["perl", "-MIO::Socket::INET", "-e", script],
                        "resources": {"requests": {"cpu": cpu}},
                        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
                    }
                ],
            },
        }
        body: dict[str, Any] = {
            "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        }
        if on_every_node:
            self.apps.create_namespaced_daemon_set(self.namespace, body)
        else:
            self.apps.create_namespaced_deployment(self.namespace, body)
        port = {"port": 80, "targetPort": 8000} | ({"nodePort": node_port} if node_port else {})
        service = {
            "metadata": {"name": name},
            "spec": {"type": "NodePort" if node_port else "ClusterIP", "selector": labels, "ports": [port]},
        }
        self.core.create_namespaced_service(self.namespace, service)
        wait_until(f"pods of {name}", lambda: self.addresses(name), timeout_seconds=_POD_SECONDS, hint=_HINT)

    def addresses(self, app: str) -> list[str]:
        """Return the addresses of all pods of an app, once each of them is ready; else an empty list."""
        pods = self.core.list_namespaced_pod(self.namespace, label_selector=f"app={app}").items
        ready = [
            pod.status.pod_ip
            for pod in pods
            if any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or [])
        ]
        return ready if len(ready) == len(pods) else []

    def _pod(self, name: str, script: str, claim: str | None, user: int) -> dict[str, Any]:
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
        mounts = [{"name": "data", "mountPath": "/data"}] if claim else []
        container = {
            "name": "main",
            "image": self.image,
            "command": ["bash", "-c", script],
            "volumeMounts": mounts,
        }
        return {
            "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never",
                "securityContext": {"runAsUser": user, "runAsNonRoot": user != 0},
                "containers": [container],
                "volumes": volumes,
            },
        }
