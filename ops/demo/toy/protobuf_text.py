"""Field numbers of the messages that kubectl sends as protobuf, as text for `protobuf`.

`Message: number name type, …`. Types: string, int, bool, bytes, quantity, intstr, time or a message; `*` in front: also
sent when it is zero, because it can be absent; `[]`: repeated; `{}`: a map from strings; `^`: its fields stand in the
message around it. The numbers are those of the generated.proto files of the Kubernetes API.
"""

from __future__ import annotations

TEXT = """
ObjectMeta: 1 name string, 2 generateName string, 3 namespace string, 4 selfLink string, 5 uid string,
  6 resourceVersion string, 7 generation int, 8 creationTimestamp time, 9 deletionTimestamp time,
  10 deletionGracePeriodSeconds *int, 11 labels {}string, 12 annotations {}string, 13 ownerReferences []OwnerReference,
  14 finalizers []string
OwnerReference: 1 kind string, 3 name string, 4 uid string, 5 apiVersion string, 6 controller *bool,
  7 blockOwnerDeletion *bool
LabelSelector: 1 matchLabels {}string, 2 matchExpressions []LabelSelectorRequirement
LabelSelectorRequirement: 1 key string, 2 operator string, 3 values []string
DeleteOptions: 1 gracePeriodSeconds *int, 2 preconditions Preconditions, 3 orphanDependents *bool,
  4 propagationPolicy *string, 5 dryRun []string
Preconditions: 1 uid *string, 2 resourceVersion *string
Namespace: 1 metadata ObjectMeta, 2 spec NamespaceSpec, 3 status NamespaceStatus
NamespaceSpec: 1 finalizers []string
NamespaceStatus: 1 phase string
ConfigMap: 1 metadata ObjectMeta, 2 data {}string, 3 binaryData {}bytes, 4 immutable *bool
Secret: 1 metadata ObjectMeta, 2 data {}bytes, 3 type string, 4 stringData {}string, 5 immutable *bool
ServiceAccount: 1 metadata ObjectMeta, 3 imagePullSecrets []LocalObjectReference, 4 automountServiceAccountToken *bool
LocalObjectReference: 1 name string
Service: 1 metadata ObjectMeta, 2 spec ServiceSpec, 3 status ServiceStatus
ServiceStatus: 1 loadBalancer LoadBalancerStatus
LoadBalancerStatus:
ServiceSpec: 1 ports []ServicePort, 2 selector {}string, 3 clusterIP string, 4 type string, 5 externalIPs []string,
  7 sessionAffinity string, 8 loadBalancerIP string, 10 externalName string, 11 externalTrafficPolicy string,
  12 healthCheckNodePort int, 13 publishNotReadyAddresses bool, 17 ipFamilyPolicy *string, 18 clusterIPs []string,
  19 ipFamilies []string, 22 internalTrafficPolicy *string
ServicePort: 1 name string, 2 protocol string, 3 port int, 4 targetPort intstr, 5 nodePort int, 6 appProtocol *string
Deployment: 1 metadata ObjectMeta, 2 spec DeploymentSpec, 3 status DeploymentStatus
DeploymentSpec: 1 replicas *int, 2 selector LabelSelector, 3 template PodTemplateSpec, 4 strategy DeploymentStrategy,
  5 minReadySeconds int, 6 revisionHistoryLimit *int, 7 paused bool, 9 progressDeadlineSeconds *int
DeploymentStatus: 1 observedGeneration int, 2 replicas int, 3 updatedReplicas int, 4 availableReplicas int,
  5 unavailableReplicas int, 7 readyReplicas int
DeploymentStrategy: 1 type string, 2 rollingUpdate RollingUpdateDeployment
RollingUpdateDeployment: 1 maxUnavailable intstr, 2 maxSurge intstr
PodTemplateSpec: 1 metadata ObjectMeta, 2 spec PodSpec
Pod: 1 metadata ObjectMeta, 2 spec PodSpec, 3 status PodStatus
PodStatus: 1 phase string, 3 message string, 4 reason string, 5 hostIP string, 6 podIP string, 9 qosClass string,
  11 nominatedNodeName string, 14 resize string, 17 observedGeneration int
PodSpec: 1 volumes []Volume, 2 containers []Container, 3 restartPolicy string, 4 terminationGracePeriodSeconds *int,
  5 activeDeadlineSeconds *int, 6 dnsPolicy string, 7 nodeSelector {}string, 8 serviceAccountName string,
  9 serviceAccount string, 10 nodeName string, 11 hostNetwork bool, 12 hostPID bool, 13 hostIPC bool,
  14 securityContext PodSecurityContext, 15 imagePullSecrets []LocalObjectReference, 16 hostname string,
  17 subdomain string, 19 schedulerName string, 20 initContainers []Container, 21 automountServiceAccountToken *bool,
  22 tolerations []Toleration, 24 priorityClassName string, 25 priority *int, 27 shareProcessNamespace *bool,
  29 runtimeClassName *string, 30 enableServiceLinks *bool, 31 preemptionPolicy *string, 34 ephemeralContainers
  []EphemeralContainer, 35 setHostnameAsFQDN *bool
PodSecurityContext: 2 runAsUser *int, 3 runAsNonRoot *bool, 4 supplementalGroups []int, 5 fsGroup *int,
  6 runAsGroup *int
Toleration: 1 key string, 2 operator string, 3 value string, 4 effect string, 5 tolerationSeconds *int
Volume: 1 name string, 2 volumeSource ^VolumeSource
VolumeSource: 1 hostPath HostPath, 2 emptyDir EmptyDir
HostPath: 1 path string, 2 type *string
EmptyDir: 1 medium string, 2 sizeLimit quantity
Container: 1 name string, 2 image string, 3 command []string, 4 args []string, 5 workingDir string,
  6 ports []ContainerPort, 7 env []EnvVar, 8 resources ResourceRequirements, 9 volumeMounts []VolumeMount,
  13 terminationMessagePath string, 14 imagePullPolicy string, 15 securityContext SecurityContext, 16 stdin bool,
  17 stdinOnce bool, 18 tty bool, 20 terminationMessagePolicy string, 24 restartPolicy *string
EphemeralContainer: 1 common ^Container, 2 targetContainerName string
ContainerPort: 1 name string, 2 hostPort int, 3 containerPort int, 4 protocol string, 5 hostIP string
EnvVar: 1 name string, 2 value string
VolumeMount: 1 name string, 2 readOnly bool, 3 mountPath string, 4 subPath string, 5 mountPropagation *string,
  6 subPathExpr string, 7 recursiveReadOnly *string
ResourceRequirements: 1 limits {}quantity, 2 requests {}quantity
SecurityContext: 1 capabilities Capabilities, 2 privileged *bool, 4 runAsUser *int, 5 runAsNonRoot *bool,
  6 readOnlyRootFilesystem *bool, 7 allowPrivilegeEscalation *bool, 8 runAsGroup *int
Capabilities: 1 add []string, 2 drop []string
Scale: 1 metadata ObjectMeta, 2 spec ScaleSpec, 3 status ScaleStatus
ScaleSpec: 1 replicas int
ScaleStatus: 1 replicas int, 2 selector string
Eviction: 1 metadata ObjectMeta, 2 deleteOptions DeleteOptions
SelfSubjectReview: 1 metadata ObjectMeta, 2 status SelfSubjectReviewStatus
SelfSubjectReviewStatus: 1 userInfo UserInfo
UserInfo: 1 username string, 2 uid string
SelfSubjectAccessReview: 1 metadata ObjectMeta, 2 spec SelfSubjectAccessReviewSpec, 3 status AccessStatus
SelfSubjectAccessReviewSpec: 1 resourceAttributes ResourceAttributes, 2 nonResourceAttributes NonResourceAttributes
SubjectAccessReview: 1 metadata ObjectMeta, 2 spec SubjectAccessReviewSpec, 3 status AccessStatus
LocalSubjectAccessReview: 1 metadata ObjectMeta, 2 spec SubjectAccessReviewSpec, 3 status AccessStatus
SubjectAccessReviewSpec: 1 resourceAttributes ResourceAttributes, 2 nonResourceAttributes NonResourceAttributes,
  3 user string, 4 groups []string, 6 uid string
AccessStatus: 1 allowed bool, 2 reason string, 3 evaluationError string, 4 denied bool
ResourceAttributes: 1 namespace string, 2 verb string, 3 group string, 4 version string, 5 resource string,
  6 subresource string, 7 name string
NonResourceAttributes: 1 path string, 2 verb string
SelfSubjectRulesReview: 1 metadata ObjectMeta, 2 spec SelfSubjectRulesReviewSpec, 3 status RulesStatus
SelfSubjectRulesReviewSpec: 1 namespace string
RulesStatus: 3 incomplete bool, 4 evaluationError string
"""
