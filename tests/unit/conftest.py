"""Property tests: a few dozen examples each time, which time and again become very many."""

from __future__ import annotations

from hypothesis import settings

# No deadline: what an example costs on a busy machine is not what is asked
settings.register_profile("unit", max_examples=40, deadline=None)
settings.load_profile("unit")
