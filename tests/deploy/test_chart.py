"""The chart, rendered by Helm's own engine and judged by the schemas of Kubernetes; what it makes fits the service.

No cluster is asked: that an API server takes it, and that probes and policies do there what they say, is not tried here.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from segment_copilot.api.http import openapi
from segment_copilot.settings import Settings
from tests.deploy.image import environment, stages

pytestmark = pytest.mark.deploy

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "chart"
VERSIONS = ("1.27", "1.30", "1.33", "1.37")

MINIMAL = {
    "image": {"repository": "registry.example/segment-copilot"},
    "secrets": {
        "databaseUrl": "postgresql://a:hush@db/x",
        "clickhouseUrl": "clickhouses://a:hush@ch:9440/x",
        "secretsKeys": "hush",
    },
}
EXISTING = {"image": {"repository": "r/i", "digest": f"sha256:{'a' * 64}"}, "secrets": {"existingSecret": "stores"}}
EVERYTHING = MINIMAL | {
    "image": {"repository": "r/i", "tag": "1.2.3", "pullSecrets": ["login"]},
    "settings": {"LOG_LEVEL": "debug", "REFRESH_HOURS": 1.5, "POSTGRES_POOL": 20},
    "api": {
        "autoscaling": {"enabled": True},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "host": "api.example",
            "tlsSecret": "tls",
            "annotations": {"a": "b"},
        },
        "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
        "nodeSelector": {"a": "b"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "annotations": {"a": "b"},
    },
    "worker": {
        "autoscaling": {"enabled": True},
        "files": {"existingClaim": "files", "path": "/files"},
        "annotations": {"a": "b"},
    },
    "serviceAccount": {"annotations": {"a": "b"}},
    "networkPolicy": {
        "ingressFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
        "metricsFrom": [{"podSelector": {}}],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
    },
}
BARE = EXISTING | {
    "api": {"podDisruptionBudget": {"enabled": False}},
    "worker": {"podDisruptionBudget": {"enabled": False}},
    "migration": {"enabled": False},
    "serviceAccount": {"create": False},
    "networkPolicy": {"enabled": False},
    "metrics": {"podAnnotations": False},
}
CASES = {"minimal": MINIMAL, "existing": EXISTING, "everything": EVERYTHING, "bare": BARE}


@pytest.fixture(scope="module")
def helm() -> Any:
    """Helm's Go SDK, which the group `deploy` brings: `make deploy`."""
    return importlib.import_module("helm_python")


def render(helm: Any, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Every object that an installation makes."""
    with helm.Chart.load(str(CHART)) as chart:
        chart.validate_schema(values)
        files = chart.render(values, name="demo", namespace="prod")
    texts = [text for name, text in files.items() if name.endswith(".yaml")]
    return [each for text in texts for each in yaml.safe_load_all(text) if each]


def of(objects: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    """The one object of *kind* whose name ends so."""
    (found,) = [one for one in objects if one["kind"] == kind and one["metadata"]["name"].endswith(name)]
    return found


def pods(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod's template, with the name of what makes it."""
    for one in objects:
        if one["kind"] in {"Deployment", "Job"}:
            yield one["metadata"]["name"], one["spec"]["template"]
        elif one["kind"] == "Pod":
            yield one["metadata"]["name"], one


def test_helm_finds_no_mistake(helm: Any):
    told = helm.lint(str(CHART))

    assert (told["errors"], [one for one in told["messages"] if one["severity"] > 1]) == ([], [])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_kubernetes_takes_every_object(helm: Any, case: str, version: str):
    """Strictly: a field that a version does not have is a mistake."""
    validate = importlib.import_module("kubernetes_validate").validate
    objects = render(helm, CASES[case])
    assert {one["kind"] for one in objects} >= {"Deployment", "Service", "Pod"}
    for one in objects:
        validate(one, version, strict=True)


def test_what_is_no_object_is_refused():
    """The schemas are asked, and not merely named."""
    kubernetes = importlib.import_module("kubernetes_validate")
    with pytest.raises(kubernetes.ValidationError):
        kubernetes.validate({"apiVersion": "v1", "kind": "Service", "spec": {"prots": []}}, "1.37", strict=True)


def test_names_are_unique_in_their_kind(helm: Any):
    for values in CASES.values():
        names = [(one["kind"], one["metadata"]["name"]) for one in render(helm, values)]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"setings": {}}, "setings"),
        ({"settings": {"LOG_LEVLE": "debug"}}, "LOG_LEVLE"),
        ({"settings": {"DATABASE_URL": "postgresql://a"}}, "DATABASE_URL"),
        ({"api": {"replicas": "two"}}, "replicas"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"secrets": {"databaseUrl": "mysql://a"}}, "databaseUrl"),
        ({"worker": {"autoscaling": {"minReplicas": 0}}}, "minReplicas"),
    ],
)
def test_values_that_are_none_are_refused(helm: Any, values: dict[str, Any], part: str):
    with pytest.raises(helm.HelmError, match=part):
        render(helm, MINIMAL | values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, r"Set image\.repository"),
        ({"image": {"repository": "a"}}, r"Set secrets\.databaseUrl, or secrets\.existingSecret"),
        (MINIMAL | {"api": {"ingress": {"enabled": True}}}, r"Set api\.ingress\.host"),
    ],
)
def test_what_has_to_be_set_is_said(helm: Any, values: dict[str, Any], sentence: str):
    with pytest.raises(helm.HelmError, match=sentence):
        render(helm, values)


def test_every_setting_can_be_set_and_no_other():
    schema = json.loads((CHART / "values.schema.json").read_text())
    elsewhere = {
        "DATABASE_URL",
        "CLICKHOUSE_URL",
        "SECRETS_KEYS",
        "ANTHROPIC_API_KEY",
        "MIGRATION_DATABASE_URL",
        "CLICKHOUSE_READ_URL",
        "HOST",
        "PORT",
        "WORKER_PORT",
    }

    names = {field.encode_name for field in msgspec.structs.fields(Settings)}

    assert set(schema["properties"]["settings"]["propertyNames"]["enum"]) == names - elsewhere


def test_the_owner_of_the_tables_is_known_to_the_migration_alone(helm: Any):
    objects = render(
        helm, MINIMAL | {"migration": {"existingSecret": "owner"}, "settings": {"POSTGRES_ROLE": "service"}}
    )
    given = {name: container["envFrom"] for name, pod in pods(objects) for container in pod["spec"]["containers"]}

    assert {name for name, sources in given.items() if {"secretRef": {"name": "owner"}} in sources} == {
        of(objects, "Job", "-migrate")["metadata"]["name"]
    }


def test_secrets_are_in_the_secret_alone(helm: Any):
    objects = render(helm, MINIMAL)
    secret = of(objects, "Secret")

    assert set(secret["stringData"]) == {"DATABASE_URL", "CLICKHOUSE_URL", "SECRETS_KEYS"}
    assert [one["kind"] for one in objects if "hush" in str(one)] == ["Secret"]
    assert not [one for one in render(helm, EXISTING) if one["kind"] == "Secret"]


def test_every_pod_is_shut_in(helm: Any):
    (uid,) = [step.rest for step in stages((ROOT / "Dockerfile").read_text())[1] if step.word == "USER"]
    for values in CASES.values():
        for name, pod in pods(render(helm, values)):
            spec = pod["spec"]
            (container,) = spec["containers"]
            assert spec["securityContext"]["runAsUser"] == int(uid), name
            assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False), name
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["limits"]["memory"], name


def test_pods_are_probed_where_the_image_listens(helm: Any):
    port = int(environment(stages((ROOT / "Dockerfile").read_text())[1])["PORT"])
    objects = render(helm, MINIMAL)
    for name in ("-api", "-worker"):
        (container,) = of(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"]
        assert container["ports"] == [{"name": "http", "containerPort": port}]
        paths = [container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
        assert paths == ["/health/live", "/health/live", "/health/ready"]


def test_selectors_find_the_pods_that_they_mean(helm: Any):
    objects = render(helm, EVERYTHING)
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(objects)}

    def found(selector: dict[str, str]) -> set[str]:
        return {
            name.removeprefix("demo-segment-copilot") for name, own in labels.items() if selector.items() <= own.items()
        }

    assert found(of(objects, "Service")["spec"]["selector"]) == {"-api"}
    for name in ("-api", "-worker"):
        assert found(of(objects, "PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"]) == {name}
        assert found(of(objects, "Deployment", name)["spec"]["selector"]["matchLabels"]) == {name}
        assert of(objects, "HorizontalPodAutoscaler", name)["spec"]["scaleTargetRef"]["name"].endswith(name)
        assert "replicas" not in of(objects, "Deployment", name)["spec"]  # the autoscaler's to say
    assert found(of(objects, "NetworkPolicy", "-api")["spec"]["podSelector"]["matchLabels"]) == {"-api"}
    assert len(found(of(objects, "NetworkPolicy", "copilot")["spec"]["podSelector"]["matchLabels"])) == 4


def test_the_migration_runs_first_and_needs_nothing_that_comes_later(helm: Any):
    objects = render(helm, MINIMAL)
    job, secret = of(objects, "Job"), of(objects, "Secret")
    weights = [int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) for one in (secret, job)]

    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert weights == sorted(weights)
    assert "serviceAccountName" not in job["spec"]["template"]["spec"]
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["migrate"]


def test_settings_reach_every_process_as_text(helm: Any):
    for _, pod in pods(render(helm, EVERYTHING)):
        told = {one["name"]: one["value"] for one in pod["spec"]["containers"][0]["env"]}
        assert told == {"LOG_LEVEL": "debug", "REFRESH_HOURS": "1.5", "POSTGRES_POOL": "20"}


def test_a_network_policy_lets_in_whom_it_names(helm: Any):
    everybody = of(render(helm, MINIMAL), "NetworkPolicy", "-api")["spec"]["ingress"]
    some = of(render(helm, EVERYTHING), "NetworkPolicy", "-api")["spec"]["ingress"]
    workers = [of(render(helm, one), "NetworkPolicy", "copilot")["spec"] for one in (MINIMAL, EVERYTHING)]

    assert everybody == [{"ports": [{"port": "http"}]}]
    assert [set(peer) for peer in some[0]["from"]] == [{"podSelector"}, {"namespaceSelector"}]
    assert [spec["ingress"] for spec in workers] == [[], [{"from": [{"podSelector": {}}], "ports": [{"port": "http"}]}]]
    assert workers[0]["egress"][1] == {}
    assert workers[1]["egress"][1] == {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}


def test_versions_are_those_of_the_newest_release():
    """What cannot take its version from a tag is written by whoever releases; CONTRIBUTING.md has the list."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = msgspec.toml.decode((ROOT / "pyproject.toml").read_bytes())
    client = msgspec.json.decode((ROOT / "clients" / "typescript" / "package.json").read_bytes())
    newest = re.findall(r"^## (\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]

    assert chart["appVersion"] == newest
    assert client["version"] == newest
    assert newest == openapi.VERSION
    assert project["tool"]["hatch"]["version"]["fallback-version"] == f"{newest}.dev0"
    assert f"ARG PACKAGE_VERSION={newest}.dev0" in (ROOT / "Dockerfile").read_text()


# Its operator's own kinds, which the schemas of Kubernetes do not know


def test_prometheus_operator_gets_a_monitor_and_the_rules(helm: Any):
    asked = MINIMAL | {
        "metrics": {
            "podAnnotations": False,
            "podMonitor": {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}},
            "rules": {"enabled": True, "docs": "https://api.example", "labels": {"release": "prometheus"}},
        }
    }
    objects = render(helm, asked)
    monitor, rule = of(objects, "PodMonitor"), of(objects, "PrometheusRule")
    deployments = [one for one in objects if one["kind"] == "Deployment"]

    assert monitor["metadata"]["labels"]["release"] == rule["metadata"]["labels"]["release"] == "prometheus"
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint == {"port": "http", "path": "/metrics", "interval": "15s"}
    (expression,) = monitor["spec"]["selector"]["matchExpressions"]
    for one in deployments:
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
        assert labels[expression["key"]] in expression["values"]
    ours = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
    told = json.loads(json.dumps(ours).replace("https://segment-copilot.example", "https://api.example"))
    assert rule["spec"] == told
    assert {one["kind"] for one in render(helm, MINIMAL)}.isdisjoint({"PodMonitor", "PrometheusRule"})


def test_variables_of_opentelemetry_reach_every_process(helm: Any):
    objects = render(helm, MINIMAL | {"otel": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}})

    for one in objects:
        if one["kind"] == "Deployment":
            (container,) = one["spec"]["template"]["spec"]["containers"]
            assert {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"} in container["env"]
    with pytest.raises(helm.HelmError, match="LOG_LEVEL"):
        render(helm, MINIMAL | {"otel": {"LOG_LEVEL": "debug"}})
