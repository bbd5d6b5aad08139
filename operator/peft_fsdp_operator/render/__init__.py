"""The objects that stand for a job in the cluster, complete, from the job alone. Pure; called by `reconcile`."""

from .configmap import render_configmap
from .pod import render_pods
from .service import render_service

__all__ = ["render_configmap", "render_pods", "render_service"]
