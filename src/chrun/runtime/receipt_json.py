"""A receipt as JSON: docs/reference/receipt.md. The order of keys is part of the format."""

from __future__ import annotations

from chrun.runtime.receipt import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.linux.process import Filters, Process
    from chrun.oci.spec import IdMapping
    from chrun.runtime.receipt import Receipt
    from chrun.runtime.receipt_limits import Bounds, Cgroup


def receipt_json(receipt: Receipt) -> dict[str, object]:
    """Give the content of a receipt."""
    context, kernel, process = receipt.context, receipt.kernel, receipt.process
    return {
        "receipt": VERSION,
        "chrun": context.version,
        "container": {
            "id": context.container_id,
            "image": context.image,
            "image_id": context.image_id,
            "rung": context.rung,
            "notices": list(context.notices),
        },
        "kernel": {
            "release": kernel.release,
            "machine": kernel.machine,
            "landlock_abi": kernel.landlock,
            "ptrace_scope": kernel.ptrace_scope,
        },
        "process": _process(process),
        "namespaces": {
            namespace.type: {"inode": namespace.inode, "own": namespace.own}
            for namespace in process.namespaces
        },
        "user_namespace": {
            "uid_map": _map(process.uid_map),
            "gid_map": _map(process.gid_map),
            "setgroups": process.setgroups,
        },
        "security": {
            "capabilities": {
                name: list(getattr(process.capabilities, name))
                for name in type(process.capabilities).fields
            },
            "no_new_privs": process.no_new_privileges,
            "seccomp": {
                **_filters(process.seccomp),
                "own_filters": receipt.own_filters,
                "pretending_filters": context.pretending,
                "of_the_caller": _filters(receipt.inherited),
            },
            "landlock": context.landlock,
            "masked_paths": {seen.path: seen.state for seen in receipt.masked},
            "readonly_paths": {seen.path: seen.state for seen in receipt.readonly},
        },
        "root": {
            "own": process.own_root,
            "readonly": receipt.root_readonly,
        },
        "mounts": [
            {
                "target": mount.mount_point,
                "type": mount.fstype,
                "source": mount.source,
                "root": mount.root,
                "options": list(mount.options),
                "super_options": list(mount.super_options),
                "propagation": list(mount.propagation) or ["private"],
            }
            for mount in process.mounts
        ],
        "limits": {
            "rlimits": {limit.name: [limit.soft, limit.hard] for limit in process.limits},
            "effective": _bounds(receipt.limits),
            "own": _bounds(receipt.own_limits),
            "cgroups": [_cgroup(cgroup) for cgroup in receipt.cgroups],
        },
        "network": {"interfaces": list(process.interfaces)},
    }


def _process(process: Process) -> dict[str, object]:
    return {
        "pid": process.pid,
        "pids": list(process.pids),
        "executable": process.executable,
        "working_dir": process.working_dir,
        "uids": _ids(process, "uid", process.uids.all),
        "gids": _ids(process, "gid", process.gids.all),
        "groups": _ids(process, "gid", process.groups),
        "umask": f"{process.umask:04o}",
        "session": process.session,
        "terminal": process.terminal,
        "oom_score_adj": process.oom_score_adj,
        "descriptors": {str(item.number): item.target for item in process.descriptors},
    }


def _ids(process: Process, kind: str, ids: tuple[int, ...]) -> dict[str, object]:
    return {"inside": [process.inside(kind, number) for number in ids], "outside": list(ids)}


def _map(lines: tuple[IdMapping, ...]) -> list[dict[str, int]]:
    return [
        {"inside": line.container_id, "outside": line.host_id, "count": line.size} for line in lines
    ]


def _filters(filters: Filters) -> dict[str, object]:
    return {"mode": filters.mode, "filters": filters.count}


def _bounds(bounds: Bounds) -> dict[str, object]:
    return {"memory": bounds.memory, "pids": bounds.pids, "cpus": bounds.cpus}


def _cgroup(cgroup: Cgroup) -> dict[str, object]:
    return {
        "version": cgroup.version,
        "controllers": list(cgroup.controllers),
        "path": cgroup.path,
        "own": cgroup.is_own,
        "files": dict(cgroup.files),
    }
