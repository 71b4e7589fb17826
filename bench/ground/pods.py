"""Pods of the project's own cluster, asked through its API server: which are ready, and what they say."""

from __future__ import annotations

from types import TracebackType
from typing import Any
from urllib.parse import quote

from ground.measuring import ROOT
from kubernetes import client, config
from rehearsal.core import catalogue, paths
from urllib3.exceptions import HTTPError

_PORT = 8080  # of every service
_ANSWER_SECONDS = 2


class Pods:
    """The pods of a namespace."""

    def __init__(self, namespace: str) -> None:
        kubeconfig = paths.for_checkout(ROOT).kubeconfig
        self._api: Any = config.new_client_from_config(str(kubeconfig), catalogue.load(ROOT).cluster.context)
        self._core = client.CoreV1Api(self._api)
        self._namespace = namespace

    def __enter__(self) -> Pods:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._api.close()

    def ready(self, app: str) -> set[str]:
        """Return the names of an app's pods that are ready and to stay."""
        found = self._core.list_namespaced_pod(self._namespace, label_selector=f"app={app}").items
        return {
            one.metadata.name
            for one in found
            if one.metadata.deletion_timestamp is None
            and any(c.type == "Ready" and c.status == "True" for c in one.status.conditions or ())
        }

    def said(self, pod: str, path: str) -> str:
        """Return what a pod answers, of whatever status; nothing while it does not."""
        host = self._api.configuration.host
        url = f"{host}/api/v1/namespaces/{self._namespace}/pods/{pod}:{_PORT}/proxy{quote(path)}"
        try:
            answer = self._api.rest_client.pool_manager.request(
                "GET", url, timeout=_ANSWER_SECONDS, retries=False
            )
        except HTTPError:
            return ""
        return str(answer.data.decode("utf-8", "replace"))
