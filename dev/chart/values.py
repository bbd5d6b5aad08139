"""The chart's values: their names, types, defaults and comments. values.yaml and its schema are made from here.

What belongs to Kubernetes (affinity, tolerations, environment) is passed through as it is; everything else is
closed, so a misspelt value is an error of `helm install` and not a quiet default.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from peft_fsdp_api.schema import ApiModel

KubernetesObject = dict[str, Any]
StringMap = dict[str, str]
Port = Annotated[int, Field(ge=1, le=65535)]
Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]


class Reference(ApiModel):
    """A reference to an object of the same namespace."""

    name: str
    """Name of the object."""


class Image(ApiModel):
    """The operator's image."""

    reference: str = ""
    """Registry, name and tag or digest, such as registry.example.com/peft-fsdp-operator:0.1.0. Required."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the kubelet pulls it."""


class Crds(ApiModel):
    """The CustomResourceDefinition of PeftFsdpJob."""

    install: bool = True
    """Install it with this release. One release per cluster does; further, namespaced ones set false."""
    keep: bool = True
    """Leave it, and so all jobs, in the cluster when the release is uninstalled."""


class ServiceAccount(ApiModel):
    """The identity of the operator."""

    create: bool = True
    """Create it."""
    name: str = ""
    """Its name; the release's full name where it is empty."""
    annotations: StringMap = {}
    """Annotations on it."""


class Rbac(ApiModel):
    """Rights."""

    create: bool = True
    """Create the roles and bindings of the operator."""
    aggregate_to_user_roles: bool = True
    """Let whoever has the built-in roles admin or edit in a namespace write jobs there, and view read them.
    Only without watchNamespaces, because it takes ClusterRoles."""


class ServiceMonitor(ApiModel):
    """A ServiceMonitor of the Prometheus operator."""

    enabled: bool = False
    """Create it; its CRD must be installed."""
    interval: str = "30s"
    """Time between two scrapes."""
    labels: StringMap = {}
    """Labels by which your Prometheus selects ServiceMonitors."""


class PodMonitor(ApiModel):
    """A PodMonitor of the Prometheus operator for the pods of jobs: loss, step, memory and heartbeat of each rank."""

    enabled: bool = False
    """Create it; its CRD must be installed."""
    interval: str = "30s"
    """Time between two scrapes."""
    labels: StringMap = {}
    """Labels by which your Prometheus selects PodMonitors."""


class Metrics(ApiModel):
    """The operator's own metrics, and its probes, which answer on the same port."""

    port: Port = 8080
    """Port of /metrics, /healthz and /readyz."""
    service_monitor: ServiceMonitor = ServiceMonitor()
    pod_monitor: PodMonitor = PodMonitor()


class Dashboard(ApiModel):
    """A Grafana dashboard in a ConfigMap, where Grafana's sidecar finds it."""

    enabled: bool = False
    """Create it."""
    labels: StringMap = {"grafana_dashboard": "1"}
    """Labels by which the sidecar selects dashboards."""
    annotations: StringMap = {}
    """Annotations, such as the one that names a folder."""


class Alerts(ApiModel):
    """Alert rules as a PrometheusRule of the Prometheus operator. docs/operations.md says what to do about each."""

    enabled: bool = False
    """Create it; its CRD must be installed."""
    labels: StringMap = {}
    """Labels by which your Prometheus selects rules."""
    runbook_base: str = ""
    """Address at which this repository can be read, with a slash at its end; put before the paths of the runbooks."""


class NetworkPolicy(ApiModel):
    """NetworkPolicies. They do nothing where the cluster's network plugin does not enforce them."""

    enabled: bool = False
    """Restrict the operator: in, /metrics only; out, DNS, the API server and the launchers of job pods."""
    api_server_ports: list[Port] = [443, 6443]
    """Ports of the API server, as its endpoints have them: `kubectl get endpointslices kubernetes`."""
    monitoring_namespaces: list[Namespace] = []
    """Namespaces that may read the metrics of operator and jobs, besides the operator's own."""
    job_namespaces: list[Namespace] = []
    """Namespaces that get a policy for job pods: in, other job pods of the namespace on any port (NCCL and gloo choose
    theirs at random), and the launcher's port for operator and monitoring. The namespaces must exist."""


class Values(ApiModel):
    """All values of the chart."""

    image: Image = Image()
    trainer_image: str = ""
    """Image of the jobs that name none in workers.image, with registry and tag or digest. A change reaches new attempts
    of jobs, never running ones. Required."""
    image_pull_secrets: list[Reference] = []
    """Secrets for pulling the operator's image; jobs name theirs in workers.imagePullSecrets."""
    watch_namespaces: list[Namespace] = []
    """Namespaces whose jobs are run. None means all, with a ClusterRole; a list means Roles in these only."""
    replicas: Annotated[int, Field(ge=0, le=10)] = 1
    """Operator pods. One works, the others wait for its Lease; two bridge the loss of a node in seconds."""
    crds: Crds = Crds()
    service_account: ServiceAccount = ServiceAccount()
    rbac: Rbac = Rbac()
    log_format: Literal["json", "text"] = "json"
    """Form of the operator's log lines."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged."""
    metrics: Metrics = Metrics()
    dashboard: Dashboard = Dashboard()
    alerts: Alerts = Alerts()
    network_policy: NetworkPolicy = NetworkPolicy()
    resources: KubernetesObject = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
    """Resources of the operator. Its memory grows with the number of job pods."""
    priority_class_name: str = ""
    """PriorityClass of the operator."""
    node_selector: StringMap = {}
    """Labels a node of the operator must have."""
    tolerations: list[KubernetesObject] = []
    """Taints the operator tolerates."""
    affinity: KubernetesObject = {}
    """Affinity of the operator. With several replicas and nothing here they prefer different nodes."""
    topology_spread_constraints: list[KubernetesObject] = []
    """Spread of several replicas."""
    pod_labels: StringMap = {}
    """Further labels on the operator's pods."""
    pod_annotations: StringMap = {}
    """Annotations on the operator's pods."""
    extra_env: list[KubernetesObject] = []
    """Further environment variables of the operator, such as a proxy."""
