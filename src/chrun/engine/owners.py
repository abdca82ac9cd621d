"""Who is to own what is unpacked."""

from __future__ import annotations

import os

from chrun.layers.owners import Owners
from chrun.linux.host import has_all_ids


def choose_owners() -> Owners:
    """Give files to whom the image names, if this user can."""
    return Owners.IMAGE if os.geteuid() == 0 and has_all_ids() else Owners.CALLER
