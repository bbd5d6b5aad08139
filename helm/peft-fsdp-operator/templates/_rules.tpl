{{/*
The operator's rights in the namespaces of the jobs: RIGHTS in operator/peft_fsdp_operator/cluster/resources.py, which a
test compares. tests/apiserver/test_chart_rights.py runs a job under them and fails when one is missing or was not used.
*/}}
{{- define "operator.rules" -}}
- apiGroups: [training.peft-fsdp.io]
  resources: [peftfsdpjobs]
  verbs: [get, list, watch]
- apiGroups: [training.peft-fsdp.io]
  resources: [peftfsdpjobs/status]
  verbs: [patch]
# Pods never change: they are made and removed.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, delete]
# Server-side apply is a patch, and a create where the object is new.
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, patch, delete]
# Whether a claim exists and may serve several nodes.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get]
# What happened to a job is posted; what the kubelet says of a pod that does not start is read.
- apiGroups: [""]
  resources: [events]
  verbs: [create, list]
{{- end -}}
