"""The message about a bug of chrun's own: one line, without secrets.

An exception's text may hold what a user or an image said, so the line has only its kind and where
it was raised. The whole of it is for CHRUN_DEBUG=1.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_PACKAGE_DIR = os.path.dirname(os.path.dirname(__file__))


def bug_text(error: BaseException) -> str:
    """Return the line: what kind of exception it was, where, and what to do about it."""
    what = f"{type(error).__name__} {_place(error.__traceback__)}".strip()
    return (
        f"chrun: cannot go on: a bug in chrun, {what}; "
        "please report it with the output of CHRUN_DEBUG=1\n"
    )


def trace_text(error: BaseException) -> str:
    """Return the traceback, if the user asked for that, else ""."""
    if os.environ.get("CHRUN_DEBUG") != "1":
        return ""
    from traceback import format_exception  # slow to import

    return "".join(format_exception(error))


def _place(trace: TracebackType | None) -> str:
    """Return where an exception was raised: in which line of the last file of chrun's."""
    place = ""
    while trace:
        path = trace.tb_frame.f_code.co_filename
        if path.startswith(f"{_PACKAGE_DIR}/"):
            place = f"in {path.removeprefix(f'{_PACKAGE_DIR}/')}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
