{{/* Names: of the release where it has the chart's in it, else of both; 52 characters leave room for what is put behind. */}}
{{- define "segment-copilot.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "segment-copilot.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "segment-copilot.labels" -}}
{{ include "segment-copilot.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "segment-copilot.image" -}}
{{- $image := .Values.image }}
{{- $repository := required "Set image.repository: where your image is." $image.repository }}
{{- if $image.digest }}{{ $repository }}@{{ $image.digest }}{{ else }}{{ $repository }}:{{ $image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "segment-copilot.account" -}}
{{- .Values.serviceAccount.name | default (ternary (include "segment-copilot.name" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "segment-copilot.secret" -}}
{{- .Values.secrets.existingSecret | default (include "segment-copilot.name" .) }}
{{- end }}

{{/* What every pod is: nobody in particular, who may write nowhere but to /tmp, and who knows nothing of the cluster. */}}
{{- define "segment-copilot.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false # a service named `worker` would set WORKER_PORT
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "segment-copilot.container" -}}
image: {{ include "segment-copilot.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
envFrom:
  - secretRef:
      name: {{ include "segment-copilot.secret" . }}
{{- with .alsoFrom }}
  - secretRef:
      name: {{ . }}
{{- end }}
{{- with merge (dict) .Values.settings .Values.otel }}
env:
  {{- range $name, $value := . }}
  - name: {{ $name }}
    value: {{ $value | toString | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Probes: started within a minute; alive while it answers; sent no requests while a store is away or it is being stopped. */}}
{{- define "segment-copilot.probes" -}}
ports:
  - name: http
    containerPort: 8000
startupProbe:
  httpGet: { path: /health/live, port: http }
  periodSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet: { path: /health/live, port: http }
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /health/ready, port: http }
  periodSeconds: 5
  timeoutSeconds: 6
  failureThreshold: 2
{{- end }}

{{- define "segment-copilot.scraped" -}}
{{- if .Values.metrics.podAnnotations }}
prometheus.io/scrape: "true"
prometheus.io/port: "8000"
prometheus.io/path: /metrics
{{- end }}
{{- end }}

{{/* Replicas on machines and zones of their own, where there are several. */}}
{{- define "segment-copilot.spread" -}}
topologySpreadConstraints:
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "segment-copilot.selector" $.root | nindent 8 }}
        app.kubernetes.io/component: {{ $.component }}
  {{- end }}
{{- end }}
