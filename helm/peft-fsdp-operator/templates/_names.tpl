{{/* Names, labels and references that several templates must spell the same way. */}}

{{- define "operator.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "operator.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "operator.fullname" .) -}}
{{- else -}}
{{- required "serviceAccount.name: name the account to use, because serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Spelt as in operator/peft_fsdp_api/names.py; a test compares them. */}}
{{- define "operator.jobPodSelector" -}}
matchExpressions:
  - key: training.peft-fsdp.io/job
    operator: Exists
{{- end -}}

{{- define "operator.launcherPort" -}}
8471
{{- end -}}

{{/* The operator's own namespace, because it reads the progress, and those of the monitoring. */}}
{{- define "operator.metricsReaders" -}}
- namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values:
          {{- prepend .Values.networkPolicy.monitoringNamespaces .Release.Namespace | uniq | toYaml | nindent 10 }}
{{- end -}}
