"""`python -m chrun` is the `chrun` command."""

from __future__ import annotations

import sys

from chrun.cli.main import main

sys.exit(main())
