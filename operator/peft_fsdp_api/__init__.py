"""The contract shared by operator, trainer and users: pydantic models, names and the CRD made from them.

Imports pydantic, PyYAML and the standard library only, so that the trainer image needs no Kubernetes client
and the operator image needs no torch.
"""

__version__ = "0.1.0"
