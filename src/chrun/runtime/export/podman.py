"""A run as a command line of podman-run(1), version 4.3 or newer.

Made from the spec, not from the plan: podman has steps of its own.
"""

from __future__ import annotations

import json

from chrun.errors import UnsupportedError
from chrun.oci.convert import MASKED_PATHS, READONLY_PATHS
from chrun.runtime.export.sh import check_owners, header, host_name
from chrun.runtime.export.shell import quote, quote_all
from chrun.runtime.export.subject import Export
from chrun.runtime.export.words import (
    asked_mounts,
    below,
    is_unicode,
    single_ids,
    system_mounts,
    value_of,
    with_mode,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.oci.spec import SpecMount
    from chrun.runtime.export.subject import Exportable

_BREAK = " \\\n    "
_SHM = "/dev/shm"  # noqa: S108 - inside a container
_VOLUME_WORDS = frozenset({
    "ro", "rw", "nosuid", "nodev", "noexec", "suid", "dev", "exec", "bind", "rbind", "private",
    "rprivate", "shared", "rshared", "slave", "rslave",
})  # fmt: skip
_READONLY = frozenset({"rro", "ro-top"})  # podman has one kind of read-only
_OVERLAY_WORDS = frozenset[str]()  # `O` stands alone
_MODES = {"pid": "--pid", "ipc": "--ipc", "uts": "--uts", "cgroup": "--cgroupns",
          "network": "--network"}  # fmt: skip
_NONE = {"network": "none"}  # what a namespace of one's own is called, if not private
_ALWAYS = (
    "/etc/hosts, /etc/resolv.conf and /etc/hostname are podman's",
    "podman has its own list of hidden paths, and shows cgroups in /sys/fs/cgroup",
)


class _Arguments:
    def __init__(self, subject: Exportable) -> None:
        self.subject = subject
        self.words: list[str] = []
        self.notes: list[str] = [*_ALWAYS, *subject.notes]

    def add(self, flag: str, content: str) -> None:
        """Add a flag with its value, as one word: the value may start with a dash."""
        self.words.append(f"{flag}={quote(content)}" if content != "" else f"{flag}=")

    def leave_out(self, what: str, why: str) -> None:
        """Take note of something that podman run cannot do."""
        self.notes.append(f"{what} ({why})")


def export_podman(subject: Exportable) -> Export:
    """Give a script that becomes podman; images come from their registry, roots from chrun's store.

    It needs an image of one layer, or a `root_dir`, where no registry knows the image.
    """
    script, spec = _Arguments(subject), subject.spec
    script.words = ["podman run --rm -i --http-proxy=false --unsetenv-all --passwd=false"]
    _add_process(script)
    _add_security(script)
    _add_namespaces(script)
    _add_names(script)
    _add_limits(script)
    if any(mount.type == "sysfs" and "ro" not in mount.options for mount in spec.mounts):
        script.leave_out("writing to /sys", "podman shows it read-only")
    for mount in asked_mounts(spec):
        _add_mount(script, mount)
    filter_lines = _filter_lines(script)
    script.words.append(f"--entrypoint={quote(json.dumps(list(spec.process.args[:1])))}")
    script.words += [_image(script), quote_all(spec.process.args[1:])]
    command = _BREAK.join(filter(None, script.words))
    needs = "podman 4.3 and catatonit" if spec.init else "podman 4.3"
    first = header(subject, needs, script.notes)
    name = f"name={host_name(spec)}"
    text = f"{first}\nset -eu\n{name}\n{filter_lines}{command}\n"
    return Export(text, tuple(script.notes))


def _add_process(script: _Arguments) -> None:
    process = script.subject.spec.process
    user = process.user
    script.add("--user", f"{user.uid}:{user.gid}")
    for group in user.additional_gids:
        script.add("--group-add", str(group))
    script.add("--workdir", process.cwd)
    for entry in process.env:
        if entry != "HOSTNAME=%h":  # podman sets it by itself
            script.add("--env", entry)
        if not is_unicode(entry):
            script.leave_out(f"{entry.partition('=')[0]} as it is", "podman knows Unicode only")
    if process.terminal:
        script.words.append("--tty")
    if script.subject.spec.init:
        script.words.append("--init")


def _add_security(script: _Arguments) -> None:
    spec = script.subject.spec
    sets = spec.process.capabilities
    if sets is None:
        script.words.append("--cap-add=ALL")
    else:
        script.words.append("--cap-drop=ALL")
        # What podman adds for a user it makes ambient, so such a user's bounding set is left small
        for name in sets.ambient if spec.process.user.uid else sets.bounding:
            script.add("--cap-add", name)
    if spec.process.no_new_privileges:
        script.words.append("--security-opt=no-new-privileges")
    if spec.masked_paths:
        script.add("--security-opt", f"mask={':'.join(spec.masked_paths)}")
        shut = (*spec.masked_paths, *spec.readonly_paths)
        opened = (path for path in (*MASKED_PATHS, *READONLY_PATHS) if path not in shut)
        if paths := ":".join(opened):
            script.add("--security-opt", f"unmask={paths}")
    else:
        script.words.append("--security-opt=unmask=ALL")
    if spec.root_readonly:
        script.words.append("--read-only --read-only-tmpfs=false")
    if spec.sealed:
        script.leave_out("the fence of Landlock", "podman has none")


def _add_namespaces(script: _Arguments) -> None:
    spec = script.subject.spec
    shm = next((mount for mount in system_mounts(spec) if mount.destination == _SHM), None)
    named = _NONE if shm else {**_NONE, "ipc": "none"}  # which is private, without a /dev/shm
    for name, flag in _MODES.items():
        own = named.get(name, "private")
        script.words.append(f"{flag}={own if name in spec.namespaces else 'host'}")
    if shm and (size := value_of("size", shm)):
        script.add("--shm-size", size)
    if spec.joined:
        raise UnsupportedError("cannot export a container that joins another one's namespaces")
    if "uts" in spec.namespaces:
        script.words.append('--hostname="$name"')
    for path, content in spec.sysctls:
        script.add("--sysctl", f"{path.replace('/', '.')}={content}")
    if script.subject.host.privileged and spec.uid_mappings:
        script.leave_out("ids that no other container has", "podman is given a range for good")
        for flag, mappings in (("--uidmap", spec.uid_mappings), ("--gidmap", spec.gid_mappings)):
            for mapping in mappings:
                script.add(flag, f"{mapping.container_id}:{mapping.host_id}:{mapping.size}")
    elif (single := single_ids(spec)) and single != (0, 0):
        script.words.append(f"--userns=keep-id:uid={single[0]},gid={single[1]}")


def _add_names(script: _Arguments) -> None:
    asked = script.subject.asked
    for address, name in asked.hosts:
        script.add("--add-host", f"{name}:{address}")
    resolver = {"--dns": asked.dns, "--dns-search": asked.dns_search,
                "--dns-option": asked.dns_options}  # fmt: skip
    if "network" in script.subject.spec.namespaces and any(resolver.values()):
        script.leave_out("what --dns and its like say", "podman has no resolver without a network")
        return
    for flag, words in resolver.items():
        for word in words:
            script.add(flag, word)


def _add_limits(script: _Arguments) -> None:
    spec = script.subject.spec
    resources = spec.resources
    numbers = {
        "--memory": resources.memory, "--memory-swap": resources.swap,
        "--cpu-quota": resources.cpu_quota, "--cpu-period": resources.cpu_period,
        "--cpu-shares": resources.cpu_shares, "--pids-limit": resources.pids,
        "--blkio-weight": resources.blkio_weight,
    }  # fmt: skip
    script.words += [f"{flag}={number}" for flag, number in numbers.items() if number]
    if "--pids-limit" not in " ".join(script.words):
        script.words.append("--pids-limit=-1")  # podman's default is 2048
    if resources.cpus:
        script.add("--cpuset-cpus", resources.cpus)
    for throttle in resources.throttles:
        script.leave_out(f"a rate of disk {throttle.major}:{throttle.minor}", "podman takes names")
    if spec.process.rlimits:
        script.leave_out("the caller's other limits", "podman has defaults of its own")
    else:
        script.words.append("--ulimit=host")
    for limit in spec.process.rlimits:
        name = limit.name.removeprefix("RLIMIT_").lower()
        script.add("--ulimit", f"{name}={limit.soft}:{limit.hard}")
    if spec.timeout_ms:
        script.words.append(f"--timeout={-(-spec.timeout_ms // 1000)}")
    for device in spec.devices:
        script.add("--device", f"{device.source}:{device.path}:{device.access}")


def _add_mount(script: _Arguments, mount: SpecMount) -> None:
    target = below(mount.destination)
    if mount.layers or mount.type not in {"bind", "tmpfs", "overlay"}:
        script.leave_out(f"what is mounted on {target}", f"podman run has no such {mount.type}")
    elif mount.type == "tmpfs":
        script.add("--tmpfs", f"{target}:{','.join(with_mode(mount.options))}")
    elif ":" in mount.source + target:
        script.leave_out(f"{mount.source} on {target}", "podman's volumes have no colons")
    else:
        known = _OVERLAY_WORDS if mount.type == "overlay" else _VOLUME_WORDS
        words = [word for word in mount.options if word in known]
        words += ["ro"] if _READONLY.intersection(mount.options) else []
        if dropped := sorted({*mount.options} - {*words}):
            script.leave_out(f"{', '.join(dropped)} of {target}", "podman has no such option")
        words += ["O"] if mount.type == "overlay" else []
        source = mount.source
        if mount.subpath:
            source = f"{source}/{mount.subpath}"
            script.leave_out(f"a check that {source} stays in the volume", "it is only bound")
        script.add("--volume", f"{source}:{target}:{','.join(words)}")


def _filter_lines(script: _Arguments) -> str:
    """Give the lines that write the profile, which podman reads from a file."""
    profile = script.subject.profile
    if not profile:
        script.words.append("--security-opt=seccomp=unconfined")
        return ""
    script.words.append('--security-opt=seccomp="$profile"')
    return (
        "profile=$(mktemp)\n"
        "trap 'rm -f \"$profile\"' EXIT\n"
        f"cat > \"$profile\" <<'PROFILE'\n{json.dumps(profile)}\nPROFILE\n"
    )


def _image(script: _Arguments) -> str:
    """Give the image's reference, or the root file system: an overlay keeps what is in it."""
    subject = script.subject
    if subject.root_dir:
        return f"--rootfs {quote(subject.root_dir)}"
    if subject.is_reference:
        script.notes.append(f"podman fetches {subject.image} into a store of its own")
        return quote(subject.image)
    check_owners(subject, "podman")  # what podman fetches it gives to the ids inside
    return f"--rootfs {quote(f'{subject.rootfs.layers[0]}:O')}"
