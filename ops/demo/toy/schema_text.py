"""The shape of every kind's objects, as text: one table that OpenAPI, patches and apply all follow.

A type is a line `Name = package: what it is`, its fields follow, indented: `name type what it is`. Types are `string`,
`int`, `long`, `bool`, `time`, `bytes`, `quantity`, `intstr`, `any`, another type's name, `{type}` for a map, `[type]`
for a list that is replaced as a whole, `[type set]` for a set, `[type by a,b]` for a list whose items are told apart
by a and b. `!` after a name: required. `~` after a name: an object of which a patch says which fields stay.
It covers what the toy cluster serves, in our own words; it is not the whole of the Kubernetes API.
"""

from __future__ import annotations

META = """
ObjectMeta = meta: What every object has: its name, its labels, and the record of its life.
  annotations {string} Free text kept with the object, for people and tools.
  creationTimestamp time When the object was stored.
  deletionGracePeriodSeconds long Seconds the object may still take to end.
  deletionTimestamp time When the object is to be gone; set once it is being deleted.
  finalizers [string set] Names that must be removed before the object may go.
  generateName string Start of a name that the server completes.
  generation long Counts the changes of the spec.
  labels {string} Short texts by which objects are selected.
  managedFields [ManagedFieldsEntry] Who last set which fields.
  name string Unique within a namespace and kind.
  namespace string The namespace the object lives in.
  ownerReferences [OwnerReference by uid] Objects this one goes away with.
  resourceVersion string Changes with every write; compare for equality only.
  selfLink string No longer filled.
  uid string Unique for ever.
ManagedFieldsEntry = meta: The fields one manager set in one way.
  apiVersion string Version of the kind the fields are of.
  fieldsType string Always FieldsV1.
  fieldsV1 any The set of fields.
  manager string Who set them.
  operation string Apply or Update.
  subresource string The sub-resource they were set through.
  time time When they were last changed.
OwnerReference = meta: An object that owns this one.
  apiVersion! string Version of the owner's kind.
  blockOwnerDeletion bool Whether the owner stays until this object is gone.
  controller bool Whether the owner controls this object.
  kind! string The owner's kind.
  name! string The owner's name.
  uid! string The owner's uid.
LabelSelector = meta: Picks objects by their labels; all terms must hold.
  matchExpressions [LabelSelectorRequirement] Terms with an operator.
  matchLabels {string} Labels that must be equal.
LabelSelectorRequirement = meta: One term of a selector.
  key! string The label.
  operator! string In, NotIn, Exists or DoesNotExist.
  values [string] Values for In and NotIn.
"""

CORE = """
Namespace = core: A part of the cluster in which names are unique.
  metadata ObjectMeta Name, labels, and so on.
  spec NamespaceSpec What is wanted of the namespace.
  status NamespaceStatus How it stands.
NamespaceSpec = core: What is wanted of a namespace.
  finalizers [string] Names that must be removed before the namespace may go.
NamespaceStatus = core: How a namespace stands.
  phase string Active or Terminating.
  conditions [Condition by type] What holds now.
ConfigMap = core: Settings for pods to read.
  metadata ObjectMeta Name, labels, and so on.
  data {string} Settings as text.
  binaryData {bytes} Settings as bytes.
  immutable bool Whether the data may no longer change.
Secret = core: Confidential data for pods to read.
  metadata ObjectMeta Name, labels, and so on.
  data {bytes} The data, base64.
  stringData {string} The data as text; write only.
  immutable bool Whether the data may no longer change.
  type string What kind of secret it is.
ServiceAccount = core: An identity for what runs in pods.
  metadata ObjectMeta Name, labels, and so on.
  automountServiceAccountToken bool Whether pods get a token.
  imagePullSecrets [LocalObjectReference] Secrets for pulling images.
  secrets [ObjectReference by name] Secrets that pods with this account may use.
Event = core: Something that happened to an object.
  metadata ObjectMeta Name, labels, and so on.
  involvedObject! ObjectReference What it happened to.
  reason string Why, in one word.
  message string What happened, for people.
  source EventSource Who reports it.
  firstTimestamp time When it was first seen.
  lastTimestamp time When it was last seen.
  eventTime time When it was first seen, to the microsecond.
  count int How often it was seen.
  type string Normal or Warning.
  action string What was done about it.
  reportingComponent string Who reports it.
  reportingInstance string Which of them.
EventSource = core: Who reports an event.
  component string The program.
  host string The node it runs on.
ObjectReference = core: Points to an object.
  apiVersion string Version of its kind.
  fieldPath string The part of the object that is meant.
  kind string Its kind.
  name string Its name.
  namespace string Its namespace.
  resourceVersion string The version that is meant.
  uid string Its uid.
LocalObjectReference = core: Points to an object of the same namespace.
  name string Its name.
Condition = core: Something that holds, does not, or is unknown.
  type! string What it is about.
  status! string True, False or Unknown.
  reason string Why, in one word.
  message string Why, for people.
  lastTransitionTime time When the status last changed.
  lastUpdateTime time When it was last looked at.
  lastProbeTime time When it was last tested.
  lastHeartbeatTime time When it was last reported.
Service = core: A name and address for a set of pods.
  metadata ObjectMeta Name, labels, and so on.
  spec ServiceSpec Which pods, and through which ports.
  status ServiceStatus How it stands.
ServiceSpec = core: Which pods a service stands for, and through which ports.
  clusterIP string Its address inside the cluster, or None.
  clusterIPs [string] Its addresses, one for each IP family.
  externalIPs [string] Further addresses it answers on.
  externalName string The DNS name it stands for.
  internalTrafficPolicy string Cluster or Local.
  ipFamilies [string] IPv4, IPv6 or both.
  ipFamilyPolicy string Whether one or both families are wanted.
  ports [ServicePort by port,protocol] The ports it offers.
  selector {string} Labels of the pods it stands for.
  sessionAffinity string ClientIP or None.
  type string ClusterIP, NodePort, LoadBalancer or ExternalName.
ServicePort = core: A port of a service.
  appProtocol string The protocol spoken on it.
  name string Its name.
  nodePort int The port on every node.
  port! int The port of the service.
  protocol string TCP, UDP or SCTP.
  targetPort intstr The port of the pods.
ServiceStatus = core: How a service stands.
  conditions [Condition by type] What holds now.
  loadBalancer any The load balancer's addresses.
Node = core: A machine that runs pods.
  metadata ObjectMeta Name, labels, and so on.
  spec NodeSpec What is wanted of the node.
  status NodeStatus How it stands.
NodeSpec = core: What is wanted of a node.
  podCIDR string Addresses for its pods.
  podCIDRs [string set] Addresses for its pods, one range for each IP family.
  providerID string Its name at the cloud.
  taints [Taint] Which pods it keeps away.
  unschedulable bool Whether it takes no new pods.
Taint = core: Keeps pods away that do not tolerate it.
  effect! string NoSchedule, PreferNoSchedule or NoExecute.
  key! string Its name.
  timeAdded time When it was set.
  value string Its value.
NodeStatus = core: How a node stands.
  addresses [NodeAddress by type] How it is reached.
  allocatable {quantity} What pods may use.
  capacity {quantity} What it has.
  conditions [Condition by type] What holds now.
  nodeInfo any Versions of what runs on it.
  daemonEndpoints any Ports of what runs on it.
  images [any] Images it holds.
NodeAddress = core: One address of a node.
  address! string The address.
  type! string What it is for.
"""

PODS = """
Pod = core: Containers that run together on one node.
  metadata ObjectMeta Name, labels, and so on.
  spec PodSpec What is to run.
  status PodStatus What runs.
PodTemplateSpec = core: What pods made from it look like.
  metadata ObjectMeta Labels and annotations of the pods.
  spec PodSpec What is to run.
PodSpec = core: What a pod runs, and how.
  activeDeadlineSeconds long Seconds after which the pod is ended.
  affinity any Which nodes and neighbours it prefers.
  automountServiceAccountToken bool Whether containers get a token.
  containers! [Container by name] The containers; at least one.
  dnsConfig any Further DNS settings.
  dnsPolicy string Where names are looked up.
  enableServiceLinks bool Whether services appear as variables.
  ephemeralContainers [EphemeralContainer by name] Containers added to a running pod for a look inside.
  hostAliases [HostAlias by ip] Lines for the hosts file.
  hostIPC bool Whether it shares the node's IPC namespace.
  hostNetwork bool Whether it shares the node's network.
  hostPID bool Whether it shares the node's processes.
  hostname string Its host name.
  imagePullSecrets [LocalObjectReference by name] Secrets for pulling images.
  initContainers [Container by name] Containers that run first, one after the other.
  nodeName string The node it is bound to.
  nodeSelector {string} Labels its node must have.
  preemptionPolicy string Whether it may displace others.
  priority int How important it is.
  priorityClassName string How important it is, by name.
  readinessGates [any] Conditions it must meet to be ready.
  restartPolicy string Always, OnFailure or Never.
  runtimeClassName string What runs its containers.
  schedulerName string Who picks its node.
  securityContext SecurityContext Rights of all containers.
  serviceAccount string Older name of serviceAccountName.
  serviceAccountName string The identity it has at the API server.
  setHostnameAsFQDN bool Whether its host name is the full one.
  shareProcessNamespace bool Whether containers see each other's processes.
  subdomain string Part of its full host name.
  terminationGracePeriodSeconds long Seconds it may take to end.
  tolerations [Toleration] Taints it puts up with.
  topologySpreadConstraints [any by topologyKey,whenUnsatisfiable] How its kind spreads over the cluster.
  volumes~ [Volume by name] Directories that containers may mount.
HostAlias = core: A line for the hosts file.
  hostnames [string] The names.
  ip! string The address.
Toleration = core: A taint that is put up with.
  effect string The effect that is tolerated.
  key string The taint.
  operator string Exists or Equal.
  tolerationSeconds long For how many seconds.
  value string The taint's value.
Container = core: One program of a pod.
  args [string] Arguments of the program.
  command [string] The program, in place of the image's own.
  env [EnvVar by name] Variables it sees.
  envFrom [any] Sources of further variables.
  image string The image it is made from.
  imagePullPolicy string Always, Never or IfNotPresent.
  lifecycle any What runs after its start and before its end.
  livenessProbe Probe Restarts it when failing.
  name! string Its name, unique in the pod.
  ports [ContainerPort by containerPort,protocol] Ports it listens on.
  readinessProbe Probe Takes it out of services when failing.
  resizePolicy [any] What a change of its resources does.
  resources ResourceRequirements What it needs and may use.
  restartPolicy string Always, for a side-car among the init containers.
  securityContext SecurityContext Its rights.
  startupProbe Probe Holds the other probes back until it succeeds.
  stdin bool Whether it has a standard input.
  stdinOnce bool Whether that input ends with the first client.
  terminationMessagePath string File with its last words.
  terminationMessagePolicy string Where its last words are taken from.
  tty bool Whether it has a terminal.
  volumeDevices [any by devicePath] Block devices it uses.
  volumeMounts [VolumeMount by mountPath] Volumes it sees.
  workingDir string The directory it starts in.
EphemeralContainer = core: A container added to a running pod.
  args [string] Arguments of the program.
  command [string] The program, in place of the image's own.
  env [EnvVar by name] Variables it sees.
  envFrom [any] Sources of further variables.
  image string The image it is made from.
  imagePullPolicy string Always, Never or IfNotPresent.
  name! string Its name, unique in the pod.
  resources ResourceRequirements Not allowed here.
  securityContext SecurityContext Its rights.
  stdin bool Whether it has a standard input.
  stdinOnce bool Whether that input ends with the first client.
  targetContainerName string The container whose processes it sees.
  terminationMessagePath string File with its last words.
  terminationMessagePolicy string Where its last words are taken from.
  tty bool Whether it has a terminal.
  volumeMounts [VolumeMount by mountPath] Volumes it sees.
  workingDir string The directory it starts in.
EnvVar = core: A variable.
  name! string Its name.
  value string Its value.
  valueFrom any Where its value comes from.
ContainerPort = core: A port a container listens on.
  containerPort! int The port.
  hostIP string The node's address it is bound to.
  hostPort int The node's port it is bound to.
  name string Its name.
  protocol string TCP, UDP or SCTP.
VolumeMount = core: A volume as a container sees it.
  mountPath! string Where it is seen.
  mountPropagation string Whether later mounts are passed on.
  name! string The volume.
  readOnly bool Whether it may only be read.
  recursiveReadOnly string Whether that holds for what is mounted inside.
  subPath string The part of the volume that is seen.
  subPathExpr string The same, with variables.
Volume = core: A directory that containers may mount.
  configMap any Filled from a config map.
  downwardAPI any Filled with facts about the pod.
  emptyDir any Empty at the start, gone at the end.
  hostPath any A directory of the node.
  name! string Its name.
  nfs any A directory of an NFS server.
  persistentVolumeClaim any Storage that was claimed.
  projected any Filled from several sources.
  secret any Filled from a secret.
Probe = core: Tests a container.
  exec any Runs a command.
  failureThreshold int Failures in a row that count as one.
  grpc any Asks over gRPC.
  httpGet any Asks over HTTP.
  initialDelaySeconds int Seconds before the first test.
  periodSeconds int Seconds between tests.
  successThreshold int Successes in a row that count as one.
  tcpSocket any Opens a connection.
  terminationGracePeriodSeconds long Seconds the container may take to end after a failure.
  timeoutSeconds int Seconds a test may take.
ResourceRequirements = core: What a container needs and may use.
  claims [any by name] Devices that were claimed.
  limits {quantity} The most it may use.
  requests {quantity} What it needs.
SecurityContext = core: What a container or pod may do.
  allowPrivilegeEscalation bool Whether it may gain rights.
  appArmorProfile any The AppArmor profile.
  capabilities any Capabilities added and dropped.
  fsGroup long Group of its volumes.
  fsGroupChangePolicy string When volumes are given that group.
  privileged bool Whether it has all rights.
  procMount string How /proc is mounted.
  readOnlyRootFilesystem bool Whether its root file system may only be read.
  runAsGroup long Group it runs as.
  runAsNonRoot bool Whether root is refused.
  runAsUser long User it runs as.
  seLinuxOptions any SELinux context.
  seccompProfile any The seccomp profile.
  supplementalGroups [long] Further groups it runs as.
  sysctls [any] Kernel settings.
PodStatus = core: What a pod does now.
  conditions [Condition by type] What holds now.
  containerStatuses [ContainerStatus] How each container stands.
  ephemeralContainerStatuses [ContainerStatus] How each ephemeral container stands.
  hostIP string Address of its node.
  hostIPs [any] Addresses of its node.
  initContainerStatuses [ContainerStatus] How each init container stands.
  message string Why it stands so, for people.
  nominatedNodeName string A node that makes room for it.
  phase string Pending, Running, Succeeded, Failed or Unknown.
  podIP string Its address.
  podIPs [any by ip] Its addresses, one for each IP family.
  qosClass string How it is treated when memory runs short.
  reason string Why it stands so, in one word.
  startTime time When its node took it over.
ContainerStatus = core: How a container stands.
  containerID string Its name at the runtime.
  image string The image it runs.
  imageID string Digest of that image.
  lastState any How it ended before.
  name string Its name.
  ready bool Whether it can serve.
  restartCount int How often it was restarted.
  started bool Whether it has started.
  state any Waiting, running or terminated.
"""

APPS = """
Deployment = apps: Keeps a number of equal pods, and replaces them step by step.
  metadata ObjectMeta Name, labels, and so on.
  spec DeploymentSpec What is wanted.
  status DeploymentStatus How it stands.
DeploymentSpec = apps: What is wanted of a deployment.
  minReadySeconds int Seconds a pod must be ready to count.
  paused bool Whether it is left as it is.
  progressDeadlineSeconds int Seconds without progress that count as failure.
  replicas int How many pods.
  revisionHistoryLimit int How many old replica sets are kept.
  selector! LabelSelector Which pods are its own.
  strategy~ DeploymentStrategy How pods are replaced.
  template! PodTemplateSpec What the pods look like.
DeploymentStrategy = apps: How pods are replaced.
  rollingUpdate RollingUpdateDeployment How many at a time.
  type string RollingUpdate or Recreate.
RollingUpdateDeployment = apps: How many pods are replaced at a time.
  maxSurge intstr Pods beyond the wanted number.
  maxUnavailable intstr Pods that may be missing.
DeploymentStatus = apps: How a deployment stands.
  availableReplicas int Pods that serve.
  collisionCount int Clashes of generated names.
  conditions [Condition by type] What holds now.
  observedGeneration long The generation that was last looked at.
  readyReplicas int Pods that are ready.
  replicas int Pods that exist.
  unavailableReplicas int Pods that are missing.
  updatedReplicas int Pods made from the present template.
ReplicaSet = apps: Keeps a number of equal pods.
  metadata ObjectMeta Name, labels, and so on.
  spec ReplicaSetSpec What is wanted.
  status ReplicaSetStatus How it stands.
ReplicaSetSpec = apps: What is wanted of a replica set.
  minReadySeconds int Seconds a pod must be ready to count.
  replicas int How many pods.
  selector! LabelSelector Which pods are its own.
  template PodTemplateSpec What the pods look like.
ReplicaSetStatus = apps: How a replica set stands.
  availableReplicas int Pods that serve.
  conditions [Condition by type] What holds now.
  fullyLabeledReplicas int Pods with the template's labels.
  observedGeneration long The generation that was last looked at.
  readyReplicas int Pods that are ready.
  replicas int Pods that exist.
"""

TEXTS = (META, CORE, PODS, APPS)
