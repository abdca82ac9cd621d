"""Devices that a user asks for, read into the spec's: --device."""

from __future__ import annotations

from chrun.oci.spec import Device


def parse_device(text: str) -> tuple[Device, ...]:
    """Read `SOURCE[:TARGET[:rwm]]`; a directory gives all devices in it. UsageError otherwise."""
    raise NotImplementedError
