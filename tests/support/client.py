"""A registry client for tests: nobody's credentials, and little patience."""

from __future__ import annotations

from chrun.registry.client import Registry
from chrun.registry.credentials import CredentialStore
from chrun.registry.patience import Patience

HASTE = Patience(connect_seconds=5, read_seconds=5, attempts=3, pause_seconds=0.001)


def client(**options: object) -> Registry:
    """Give a client; options are Registry's own."""
    return Registry(**{"credentials": CredentialStore({}), "patience": HASTE, **options})
