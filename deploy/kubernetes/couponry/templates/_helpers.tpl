{{- define "couponry.labels" -}}
app.kubernetes.io/name: couponry
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "couponry.allLabels" -}}
{{ include "couponry.labels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "couponry.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* What every pod of couponry is: no root, nothing to write to but its volumes. */}}
{{- define "couponry.pod" -}}
serviceAccountName: {{ .Release.Name }}
automountServiceAccountToken: false
# A service called couponry would become COUPONRY_PORT.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "couponry.container" -}}
image: {{ include "couponry.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
env:
  - {name: COUPONRY_DATA, value: /data}
  - {name: COUPONRY_LOG_FORMAT, value: json}
  {{- range $name, $value := .Values.settings }}
  - {name: COUPONRY_{{ $name }}, value: {{ $value | quote }}}
  {{- end }}
{{- with .Values.secrets }}
envFrom:
  {{- range . }}
  - secretRef: {name: {{ . }}}
  {{- end }}
{{- end }}
volumeMounts:
  - {name: data, mountPath: /data}
  - {name: tmp, mountPath: /tmp}
  {{- if eq .Values.mode "cluster" }}
  - {name: keys, mountPath: /data/keys, readOnly: true}
  {{- end }}
{{- end -}}

{{/* Volumes of a pod of a cluster: its data folder has locks, and may be empty after a restart. */}}
{{- define "couponry.volumes" -}}
- {name: tmp, emptyDir: {}}
{{- if eq .Values.mode "cluster" }}
- {name: data, emptyDir: {}}
- name: keys
  secret: {secretName: {{ .Values.keysSecret }}, defaultMode: 0440}
{{- end }}
{{- end -}}

{{/* serve with its probes. It answers what it has accepted before it ends: ten seconds, fifteen on a cluster. */}}
{{- define "couponry.serve" -}}
- name: serve
  {{- include "couponry.container" . | nindent 2 }}
  args: [serve, --listen, "0.0.0.0:8080"]
  ports:
    - {name: http, containerPort: 8080}
  # A start that must recover or upgrade a large store may take minutes.
  startupProbe:
    httpGet: {path: /healthz, port: http}
    periodSeconds: 2
    failureThreshold: 300
  # Only a process that answers nothing any more is restarted: a store that is away is no reason.
  livenessProbe:
    httpGet: {path: /healthz, port: http}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    httpGet: {path: /readyz, port: http}
    periodSeconds: 2
    timeoutSeconds: 3
    failureThreshold: 2
  lifecycle:
    # Until every proxy knows that the pod ends, requests still come.
    preStop:
      exec: {command: [sleep, "5"]}
  resources: {{ toYaml .Values.resources | nindent 4 }}
{{- end -}}

{{/* A job at certain times: (dict "root" . "name" "compact" "schedule" "…" "args" (list …)) */}}
{{- define "couponry.job" -}}
{{- $root := .root -}}
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {{ $root.Release.Name }}-{{ .name }}
  labels: {{ include "couponry.allLabels" $root | nindent 4 }}
spec:
  schedule: {{ .schedule | quote }}
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 3600
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 2
      template:
        metadata:
          labels:
            {{- include "couponry.allLabels" $root | nindent 12 }}
            app.kubernetes.io/component: {{ .name }}
        spec:
          {{- include "couponry.pod" $root | nindent 10 }}
          restartPolicy: Never
          containers:
            - name: {{ .name }}
              {{- include "couponry.container" $root | nindent 14 }}
              args: {{ toJson .args }}
              resources: {{ toYaml $root.Values.resources | nindent 16 }}
          volumes:
            {{- include "couponry.volumes" $root | nindent 12 }}
{{- end -}}
