"""The PodSecurity plugin: namespaces say by labels how far their pods may reach.

The levels and their checks are those of the Pod Security Standards (``k8s.io/pod-security-admission``), in their
latest version; the messages too.
"""

from collections.abc import Callable, Iterator
from typing import Any

from headwater.cluster.apiserver.admission.request import AdmissionRequest
from headwater.cluster.store.store import Store
from headwater.kube.meta.errors import Cause, forbidden, invalid
from headwater.kube.meta.objects import Object, labels_of
from headwater.kube.meta.resources import NAMESPACES, PODS

PREFIX = "pod-security.kubernetes.io/"
LEVELS = ("privileged", "baseline", "restricted")
_TEMPLATED = frozenset(
    {
        *(("apps", plural) for plural in ("deployments", "replicasets", "statefulsets", "daemonsets")),
        ("batch", "jobs"),
        ("batch", "cronjobs"),
        ("", "replicationcontrollers"),
        ("", "podtemplates"),
    }
)
_CAPABILITIES = frozenset(
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID "  # noqa: SIM905
    "SYS_CHROOT".split()
)
_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        *(
            f"net.ipv4.{name}"
            for name in ("ip_local_port_range", "ip_local_reserved_ports", "ip_unprivileged_port_start")
        ),
        *(f"net.ipv4.tcp_{name}" for name in ("syncookies", "keepalive_time", "fin_timeout", "keepalive_intvl")),
        *("net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem", "net.ipv4.ping_group_range"),
    }
)
_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)


def check_labels(namespace: Object) -> None:
    """Refuse a namespace whose level is none (422)."""
    causes = [
        Cause(f"metadata.labels[{PREFIX}{mode}]", f'Invalid value: "{level}": must be one of {", ".join(LEVELS)}')
        for mode in ("enforce", "audit", "warn")
        if (level := labels_of(namespace).get(PREFIX + mode)) is not None and level not in LEVELS
    ]
    if causes:
        raise invalid("", NAMESPACES.kind, namespace["metadata"].get("name", ""), causes)


def check_pod_security(store: Store, request: AdmissionRequest) -> None:
    """Refuse a pod that its namespace's level forbids (403); warn of pods and templates where it only warns."""
    resource, obj = request.served.resource, request.obj
    is_pod = resource == PODS
    if (
        obj is None
        or request.subresource not in ("", "ephemeralcontainers")
        or not (is_pod or (resource.group, resource.plural) in _TEMPLATED)
    ):
        return
    home = store.get(NAMESPACES.group_resource, request.namespace)
    if home is None or not any(label.startswith(PREFIX) for label in home.labels):
        return
    spec, metadata = _pod_of(obj, is_pod)
    if spec is None or (request.old is not None and _pod_of(request.old, is_pod)[0] == spec):
        return
    if is_pod:
        level = home.labels.get(f"{PREFIX}enforce", "privileged")
        found = violations(level, metadata, spec)
        if found:
            version = home.labels.get(f"{PREFIX}enforce-version", "latest")
            why = f'violates PodSecurity "{level}:{version}": {", ".join(found)}'
            raise forbidden(resource.group, resource.plural, request.name, why)
    level = home.labels.get(f"{PREFIX}warn", "privileged")
    found = violations(level, metadata, spec)
    if found:
        version = home.labels.get(f"{PREFIX}warn-version", "latest")
        request.warnings.append(f'would violate PodSecurity "{level}:{version}": {", ".join(found)}')


def _pod_of(obj: Object, is_pod: bool) -> tuple[Object | None, Object]:
    if is_pod:
        return obj.get("spec"), obj.get("metadata") or {}
    spec = obj.get("spec") or {}
    template = spec.get("template") or ((spec.get("jobTemplate") or {}).get("spec") or {}).get("template")
    template = template or obj.get("template") or {}
    return template.get("spec"), template.get("metadata") or {}


def violations(level: str, metadata: Object, spec: Object) -> list[str]:
    """Return what a level forbids in a pod; an empty list when nothing is."""
    if level == "privileged":
        return []
    checks = [*_BASELINE, *(_RESTRICTED if level == "restricted" else ())]
    if level == "restricted":
        # These ask for more than their counterparts of the baseline.
        checks = [check for check in checks if check not in (_capabilities, _host_paths)]
    return [said for check in checks if (said := check(metadata, spec))]


def _containers(spec: Object) -> Iterator[tuple[str, Object, Object]]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            yield container.get("name", ""), container, container.get("securityContext") or {}


def _pod_context(spec: Object) -> Object:
    return spec.get("securityContext") or {}


def _which(names: list[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"{'container' if len(names) == 1 else 'containers'} {quoted}"


def _host_namespaces(metadata: Object, spec: Object) -> str:
    found = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    return f"host namespaces ({', '.join(found)})" if found else ""


def _privileged(metadata: Object, spec: Object) -> str:
    names = [name for name, _, context in _containers(spec) if context.get("privileged")]
    return f"privileged ({_which(names)} must not set securityContext.privileged=true)" if names else ""


def _capabilities(metadata: Object, spec: Object) -> str:
    names, added = [], set()
    for name, _, context in _containers(spec):
        more = set((context.get("capabilities") or {}).get("add") or ()) - _CAPABILITIES
        if more:
            names.append(name)
            added |= more
    listed = ", ".join(f'"{each}"' for each in sorted(added))
    said = f"{_which(names)} must not include {listed} in securityContext.capabilities.add"
    return f"non-default capabilities ({said})" if names else ""


def _host_paths(metadata: Object, spec: Object) -> str:
    names = [volume.get("name", "") for volume in spec.get("volumes") or () if volume.get("hostPath") is not None]
    if not names:
        return ""
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"hostPath volumes ({'volume' if len(names) == 1 else 'volumes'} {quoted})"


def _host_ports(metadata: Object, spec: Object) -> str:
    names, ports = [], []
    for name, container, _ in _containers(spec):
        found = [port["hostPort"] for port in container.get("ports") or () if port.get("hostPort")]
        if found:
            names.append(name)
            ports += found
    word = "hostPort" if len(ports) == 1 else "hostPorts"
    return f"hostPort ({_which(names)} uses {word} {', '.join(map(str, ports))})" if names else ""


def _windows(metadata: Object, spec: Object) -> str:
    contexts = [_pod_context(spec), *(context for _, _, context in _containers(spec))]
    found = any((context.get("windowsOptions") or {}).get("hostProcess") for context in contexts)
    return "hostProcess (must not set securityContext.windowsOptions.hostProcess=true)" if found else ""


def _app_armor(metadata: Object, spec: Object) -> str:
    contexts = [_pod_context(spec), *(context for _, _, context in _containers(spec))]
    bad = [kind for context in contexts if (kind := (context.get("appArmorProfile") or {}).get("type")) == "Unconfined"]
    for key, value in (metadata.get("annotations") or {}).items():
        if key.startswith("container.apparmor.security.beta.kubernetes.io/"):
            bad += [value] if value != "runtime/default" and not value.startswith("localhost/") else []
    return f'forbidden AppArmor profile ("{bad[0]}")' if bad else ""


def _selinux(metadata: Object, spec: Object) -> str:
    contexts = [_pod_context(spec), *(context for _, _, context in _containers(spec))]
    for options in (context.get("seLinuxOptions") or {} for context in contexts):
        if (options.get("type") or "") not in _SELINUX_TYPES:
            return f'seLinuxOptions (set forbidden securityContext.seLinuxOptions: type "{options["type"]}")'
        if options.get("user") or options.get("role"):
            return "seLinuxOptions (set forbidden securityContext.seLinuxOptions: user or role may not be set)"
    return ""


def _proc_mount(metadata: Object, spec: Object) -> str:
    names = [name for name, _, context in _containers(spec) if context.get("procMount", "Default") != "Default"]
    return f'procMount ({_which(names)} must not set securityContext.procMount to "Unmasked")' if names else ""


def _seccomp_kind(context: Object) -> Any:
    return (context.get("seccompProfile") or {}).get("type")


def _seccomp(metadata: Object, spec: Object) -> str:
    names = [name for name, _, context in _containers(spec) if _seccomp_kind(context) == "Unconfined"]
    who = ["pod"] if _seccomp_kind(_pod_context(spec)) == "Unconfined" else []
    who += [_which(names)] if names else []
    said = 'must not set securityContext.seccompProfile.type to "Unconfined"'
    return f"seccompProfile ({' and '.join(who)} {said})" if who else ""


def _sysctls(metadata: Object, spec: Object) -> str:
    names = [each.get("name", "") for each in _pod_context(spec).get("sysctls") or ()]
    bad = [name for name in names if name not in _SYSCTLS]
    return f"forbidden sysctls ({', '.join(bad)})" if bad else ""


def _restricted_volumes(metadata: Object, spec: Object) -> str:
    names, kinds = [], set()
    for volume in spec.get("volumes") or ():
        bad = {kind for kind in volume if kind != "name"} - _VOLUMES
        if bad:
            names.append(volume.get("name", ""))
            kinds |= bad
    quoted = ", ".join(f'"{name}"' for name in names)
    listed = ", ".join(f'"{kind}"' for kind in sorted(kinds))
    noun = ("volume", "uses restricted volume type") if len(names) == 1 else ("volumes", "use restricted volume types")
    return f"restricted volume types ({noun[0]} {quoted} {noun[1]} {listed})" if names else ""


def _escalation(metadata: Object, spec: Object) -> str:
    names = [name for name, _, context in _containers(spec) if context.get("allowPrivilegeEscalation") is not False]
    said = f"{_which(names)} must set securityContext.allowPrivilegeEscalation=false"
    return f"allowPrivilegeEscalation != false ({said})" if names else ""


def _dropped(metadata: Object, spec: Object) -> str:
    keeping, adding, added = [], [], set()
    for name, _, context in _containers(spec):
        capabilities = context.get("capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or ()):
            keeping.append(name)
        more = set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}
        if more:
            adding.append(name)
            added |= more
    said = [f'{_which(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if adding:
        listed = ", ".join(f'"{each}"' for each in sorted(added))
        said.append(f"{_which(adding)} must not include {listed} in securityContext.capabilities.add")
    return f"unrestricted capabilities ({'; '.join(said)})" if said else ""


def _non_root(metadata: Object, spec: Object) -> str:
    whole = _pod_context(spec).get("runAsNonRoot")
    explicit = [name for name, _, context in _containers(spec) if context.get("runAsNonRoot") is False]
    silent = [name for name, _, context in _containers(spec) if context.get("runAsNonRoot") is None]
    if whole is False and silent:
        return "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)"
    if explicit:
        return f"runAsNonRoot != true ({_which(explicit)} must not set securityContext.runAsNonRoot=false)"
    if not whole and silent:
        return f"runAsNonRoot != true (pod or {_which(silent)} must set securityContext.runAsNonRoot=true)"
    return ""


def _root_user(metadata: Object, spec: Object) -> str:
    who = ["pod"] if _pod_context(spec).get("runAsUser") == 0 else []
    names = [name for name, _, context in _containers(spec) if context.get("runAsUser") == 0]
    who += [_which(names)] if names else []
    return f"runAsUser=0 ({' and '.join(who)} must not set runAsUser=0)" if who else ""


def _restricted_seccomp(metadata: Object, spec: Object) -> str:
    if _seccomp_kind(_pod_context(spec)) in ("RuntimeDefault", "Localhost"):
        return ""
    names = [name for name, _, context in _containers(spec) if _seccomp_kind(context) is None]
    said = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return f"seccompProfile (pod or {_which(names)} {said})" if names else ""


_Check = Callable[[Object, Object], str]
_BASELINE: tuple[_Check, ...] = (
    *(_host_namespaces, _privileged, _capabilities, _host_paths, _host_ports, _windows, _app_armor, _selinux),
    *(_proc_mount, _seccomp, _sysctls),
)
_RESTRICTED: tuple[_Check, ...] = (
    *(_restricted_volumes, _escalation, _dropped, _non_root, _root_user, _restricted_seccomp),
)
