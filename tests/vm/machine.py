"""One boot: QEMU without KVM, the guest's words on stdout, its exit status as ours."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_STATUS = "guest-status="  # guest/vm/play ends with it
_TIMED_OUT, _SILENT = 124, 125


def boot(kernel: Path, image: Path, append: str, *, seconds: int) -> int:
    """Boot the image, pass on what it says, and give the exit status of its tests.

    What the guest writes is lost at its end. Gives 124 when it takes longer than `seconds`, and
    125 when it ends without a word on how the tests went.
    """
    started = time.monotonic()
    with subprocess.Popen(
        _command(kernel, image, append),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as machine:
        alarm = threading.Timer(seconds, machine.kill)
        alarm.start()
        try:
            status = _pass_on(machine)
        finally:
            alarm.cancel()
            machine.kill()
    took = time.monotonic() - started
    print(f"the machine ran for {took:.0f} s", flush=True)
    return (
        _TIMED_OUT if status is None and took >= seconds else _SILENT if status is None else status
    )


def _pass_on(machine: subprocess.Popen[str]) -> int | None:
    status = None
    for line in machine.stdout or ():
        said = line.rstrip()
        if said.startswith(_STATUS):
            status = int(said.removeprefix(_STATUS))
        else:
            print(said, flush=True)
    return status


def _command(kernel: Path, image: Path, append: str) -> list[str]:
    return [
        "qemu-system-x86_64",
        # On `microvm` one boot in five never ends: its kernel waits for a clock to be calibrated.
        *("-machine", "q35", "-accel", "tcg,thread=multi"),
        *("-cpu", "max", "-smp", "2", "-m", "1536", "-nodefaults", "-no-user-config"),
        *("-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", str(kernel)),
        # NVMe is built into Debian's kernel, unlike virtio: so there is no need of an initramfs.
        *("-drive", f"if=none,id=disk,file={image},format=raw,snapshot=on"),
        *("-device", "nvme,drive=disk,serial=disk"),
        *("-append", f"console=ttyS0 root=/dev/nvme0n1 rw loglevel=1 panic=-1 {append}"),
    ]
