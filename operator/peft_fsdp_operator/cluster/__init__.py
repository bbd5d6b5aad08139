"""The single seam to the API server: every request of the operator leaves the process here."""

from .client import Cluster, Request
from .closed import FORBIDDEN_WAIT, leave_closed_ones
from .credentials import Credentials, find_credentials
from .foreign_requests import count_requests
from .lost_place import begin_anew
from .nesting import read_shallow
from .resources import CLAIMS, CONFIGMAPS, EVENTS, JOBS, LEASES, NODES, PODS, RIGHTS, SERVICES, Resource
from .session import open_session
from .sound import keep_sound

__all__ = [
    "CLAIMS",
    "CONFIGMAPS",
    "EVENTS",
    "FORBIDDEN_WAIT",
    "JOBS",
    "LEASES",
    "NODES",
    "PODS",
    "RIGHTS",
    "SERVICES",
    "Cluster",
    "Credentials",
    "Request",
    "Resource",
    "begin_anew",
    "count_requests",
    "find_credentials",
    "keep_sound",
    "leave_closed_ones",
    "open_session",
    "read_shallow",
]
