"""Eureka: each test has application names of its own."""

from __future__ import annotations

import httpx

from mambogo_testkit import EurekaApps, EurekaServer


def register(apps: EurekaApps, app: str, status: str = "UP") -> None:
    instance = {
        "instanceId": f"{app}:1",
        "hostName": "order-1",
        "app": app,
        "ipAddr": "127.0.0.1",
        "vipAddress": app,
        "status": status,
        "port": {"$": 8080, "@enabled": "true"},
        "dataCenterInfo": {
            "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
            "name": "MyOwn",
        },
    }
    httpx.post(f"{apps.url}apps/{app}", json={"instance": instance}, timeout=10).raise_for_status()


def test_a_registered_instance_is_seen(eureka_apps: EurekaApps) -> None:
    app = eureka_apps.name("order-service")
    register(eureka_apps, app)
    assert eureka_apps.instances(app) == {f"{app}:1": "UP"}


def test_a_deregistered_instance_is_gone_at_once(eureka_apps: EurekaApps) -> None:
    app = eureka_apps.name("order-service")
    register(eureka_apps, app)
    httpx.delete(f"{eureka_apps.url}apps/{app}/{app}:1", timeout=10).raise_for_status()
    assert eureka_apps.instances(app) == {}


def test_the_same_name_is_another_application_in_another_test(eureka_server: EurekaServer) -> None:
    assert eureka_server.apps().name("order-service") != eureka_server.apps().name("order-service")


def test_a_restarted_server_has_forgotten_its_instances(own_eureka: EurekaServer) -> None:
    apps = own_eureka.apps()
    app = apps.name("order-service")
    register(apps, app)
    own_eureka.stop()
    own_eureka.start()
    assert apps.instances(app) == {}
