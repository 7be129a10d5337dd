{{/* Names */}}
{{- define "esa.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "esa.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "esa.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* Cluster-scoped objects of the same release name in two namespaces must not be the same objects */}}
{{- define "esa.clusterName" -}}
{{- $name := include "esa.fullname" . -}}
{{- $namespace := include "esa.namespace" . -}}
{{- if eq $name $namespace -}}{{ $name }}{{- else -}}{{ printf "%s-%s" $name $namespace }}{{- end -}}
{{- end -}}

{{- define "esa.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "esa.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Namespaces to watch when not cluster-wide, as a JSON list */}}
{{- define "esa.namespaces" -}}
{{- .Values.watch.namespaces | default (list (include "esa.namespace" .)) | toJson -}}
{{- end -}}

{{- define "esa.image" -}}
{{- $registry := .Values.global.imageRegistry | default .Values.image.registry -}}
{{- $image := .Values.image.repository -}}
{{- if $registry -}}{{- $image = printf "%s/%s" (trimSuffix "/" $registry) $image -}}{{- end -}}
{{- $image = printf "%s:%s" $image (.Values.image.tag | default .Chart.AppVersion) -}}
{{- if .Values.image.digest -}}{{- $image = printf "%s@%s" $image .Values.image.digest -}}{{- end -}}
{{- $image -}}
{{- end -}}

{{- define "esa.imagePullSecrets" -}}
{{- with concat (.Values.global.imagePullSecrets | default list) .Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ kindIs "string" . | ternary . (get (kindIs "map" . | ternary . dict) "name") }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* Labels */}}
{{- define "esa.selectorLabels" -}}
app.kubernetes.io/name: {{ include "esa.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "esa.ownLabels" -}}
{{ include "esa.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: esa-preload-operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- end -}}

{{/* labels and annotations of an object: dict "root" $ "labels" {…} "annotations" {…}; pods get labels that no upgrade changes */}}
{{- define "esa.metadata" -}}
labels: {{- merge (include (hasKey . "pod" | ternary "esa.selectorLabels" "esa.ownLabels") .root | fromYaml) (.labels | default dict) .root.Values.commonLabels | toYaml | nindent 2 }}
{{- with merge dict (.annotations | default dict) .root.Values.commonAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A duration as Go writes it, in seconds */}}
{{- define "esa.seconds" -}}
{{- $sum := 0.0 -}}
{{- $units := dict "ns" 0.000000001 "us" 0.000001 "µs" 0.000001 "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 -}}
{{- range regexFindAll "[0-9.]+(ns|us|µs|ms|s|m|h)" . -1 -}}
{{- $unit := regexFind "[a-zµ]+$" . -}}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (get $units $unit)) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{- define "esa.gracePeriod" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{- addf 25.0 (mulf 2.0 (include "esa.seconds" (.Values.config.requestTimeout | default "10s") | float64)) | ceil | int -}}
{{- else -}}
{{- .Values.terminationGracePeriodSeconds | int -}}
{{- end -}}
{{- end -}}

{{/* The port of a URL, or of a short name of ESA's endpoint */}}
{{- define "esa.port" -}}
{{- $url := urlParse . -}}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (eq $url.scheme "http" | ternary "80" "443") -}}
{{- end -}}

{{/* A hash of the version of `credentials.existingSecret`, where Helm sees the cluster: pods are replaced when it changes.
     Not a hash of its contents, which would tell something about them */}}
{{- define "esa.credentialsVersion" -}}
{{- with .Values.credentials.existingSecret -}}
{{- with lookup "v1" "Secret" (include "esa.namespace" $) . -}}
{{- printf "%s %s" .metadata.uid .metadata.resourceVersion | sha256sum -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether to render an object of Prometheus Operator: dict "root" $ "kind" "ServiceMonitor" */}}
{{- define "esa.monitors" -}}
{{- $known := .root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind) -}}
{{- $mode := .root.Values.metrics.renderMode -}}
{{- if or $known (eq $mode "alwaysRender") -}}true
{{- else if eq $mode "failIfMissing" -}}
{{- fail (printf "the cluster has no %s of monitoring.coreos.com/v1, and metrics.renderMode is failIfMissing" .kind) -}}
{{- end -}}
{{- end -}}

{{/* Environment variables that the chart sets, as a YAML list. No empty values, and the defaults of the API server written out:
     what it stores otherwise than it was applied makes a second manager of server-side apply meet conflicts */}}
{{- define "esa.env" -}}
- name: POD_ID
  valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}
{{- range $key, $value := .Values.config }}
- name: {{ printf "ESA_OPERATOR_%s" (snakecase $key | upper) }}
  value: {{ $value | toString | quote }}
{{- end }}
- name: ESA_OPERATOR_LEADER_ELECTION
  value: {{ .Values.leaderElection.enabled | quote }}
- name: ESA_OPERATOR_LEASE_NAMESPACE
  valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}
- name: ESA_OPERATOR_HEALTH_PORT
  value: {{ .Values.health.port | quote }}
- name: ESA_OPERATOR_METRICS_PORT
  value: {{ .Values.metrics.port | quote }}
- name: ESA_OPERATOR_CREDENTIALS_SECRET_NAMES
  value: {{ join "," .Values.credentials.secretNames | default "," | quote }}
{{- with .Values.credentials.defaultNamespaces }}
- name: ESA_OPERATOR_DEFAULT_CREDENTIALS_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
- name: ESA_OPERATOR_ECS_RAM_ROLE
  value: {{ .Values.credentials.ecsRamRole | quote }}
{{- with .Values.proxy.url }}
- name: HTTPS_PROXY
  value: {{ . }}
{{- end }}
{{- with .Values.proxy.noProxy }}
- name: NO_PROXY
  value: {{ . | quote }}
{{- end }}
{{- if .Values.caBundle.configMap }}
- name: SSL_CERT_FILE
  value: /etc/esa-preload-operator/{{ .Values.caBundle.key }}
{{- end }}
{{- with .Values.tracing.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . }}
{{- end }}
{{- with .Values.credentials.existingSecret }}
- name: ALIBABA_CLOUD_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ . }}, key: accessKeyId}}
- name: ALIBABA_CLOUD_ACCESS_KEY_SECRET
  valueFrom: {secretKeyRef: {name: {{ . }}, key: accessKeySecret}}
- name: ALIBABA_CLOUD_SECURITY_TOKEN
  valueFrom: {secretKeyRef: {name: {{ . }}, key: securityToken, optional: true}}
{{- end }}
{{- end -}}

{{/* What the operator may do with the objects of a namespace; and with which Secrets */}}
{{- define "esa.rules" -}}
- apiGroups: [esa.preload-operator.io]
  resources: [scheduledpreloadjobs]
  verbs: [get, list, watch]
- apiGroups: [esa.preload-operator.io]
  resources: [scheduledpreloadjobs/status]
  verbs: [update]
- apiGroups: [esa.preload-operator.io]
  resources: [scheduledpreloadjobs]
  verbs: [patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- with .Values.credentials.secretNames }}
- apiGroups: [""]
  resources: [secrets]
  {{- if not (has "*" .) }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [get, list, watch]
{{- end }}
{{- with .Values.rbac.extraRules }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A number without a unit gets a hint here, which a schema could not give */}}
{{- define "esa.checkDurations" -}}
{{- $monitors := pick .Values.metrics "serviceMonitor" "podMonitor" -}}
{{- $all := dict -}}
{{- $others := list "endpoint" "allowHttpEndpoint" "workers" "logFormat" "logLevel" "maxCallsPerSecond" "sharedLooks" "resetConfirmation" -}}
{{- range $name, $value := .Values.config -}}
{{- if not (has $name $others) -}}{{- $_ := set $all (printf "config.%s" $name) $value -}}{{- end -}}
{{- end -}}
{{- range $name, $monitor := $monitors -}}
{{- range list "interval" "scrapeTimeout" -}}
{{- $_ := set $all (printf "metrics.%s.%s" $name .) (get $monitor .) -}}
{{- end -}}
{{- end -}}
{{- range $path, $value := $all -}}
{{- if not (regexMatch "^(0|(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|ms|s|m|h))+)$" (toString $value)) -}}
{{- fail (printf "%s: %v is no duration; write it with its unit, such as 30s, 500ms or 1h30m" $path $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Values that contradict each other end the rendering with one line */}}
{{- define "esa.check" -}}
{{- include "esa.checkDurations" . -}}
{{- with .Values.resetPolicy.validationActions -}}
{{- if and (has "Deny" .) (has "Warn" .) -}}
{{- fail "resetPolicy.validationActions: Kubernetes takes Deny or Warn, not both; what is denied is told to the user anyway" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.watch.clusterWide .Values.watch.namespaces -}}
{{- fail "watch.namespaces counts only with watch.clusterWide=false" -}}
{{- end -}}
{{- if and .Values.resetPolicy.enabled (not .Values.watch.clusterWide) -}}
{{- fail "resetPolicy.enabled needs cluster-scoped objects, which watch.clusterWide=false rules out" -}}
{{- end -}}
{{- if and (not .Values.leaderElection.enabled) (gt (int .Values.replicaCount) 1) -}}
{{- fail "replicaCount above 1 needs leaderElection.enabled=true" -}}
{{- end -}}
{{- if and .Values.credentials.rrsa.enabled (not .Values.credentials.rrsa.roleName) -}}
{{- fail "credentials.rrsa.enabled needs credentials.rrsa.roleName" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor and metrics.podMonitor together would count everything twice" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.service.enabled) -}}
{{- fail "metrics.serviceMonitor.enabled needs metrics.service.enabled=true" -}}
{{- end -}}
{{- $own := list -}}
{{- range include "esa.env" . | fromYamlArray -}}{{- $own = append $own .name -}}{{- end -}}
{{- range .Values.extraEnv -}}
{{- if or (has .name $own) (hasPrefix "ESA_OPERATOR_" .name) -}}
{{- fail (printf "extraEnv must not set %s: the chart has a value for it" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
