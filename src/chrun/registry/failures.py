"""What a registry's refusals mean, in words: distribution-spec, section "Error Codes"."""

from __future__ import annotations

from http.client import responses

from chrun.errors import (
    ContentError,
    ImageNotFoundError,
    RateLimitedError,
    RegistryError,
    UnauthorizedError,
)
from chrun.oci.document import Document
from chrun.registry.headers import retry_after
from chrun.registry.http import address_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.registry.http import Answer, Response

MAX_ERROR_BYTES = 64 << 10
_MAX_WORDS = 300
_UNKNOWN = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN"})
LOGIN_HINT = (
    "log in with `docker login` or `podman login`: chrun reads ~/.docker/config.json "
    "and containers/auth.json"
)


def failure(what: str, response: Response, *, hint: str = "") -> RegistryError:
    """Read a refusal and give the error for it; `what` is "pull redis:7"."""
    answer = response.answer(MAX_ERROR_BYTES)
    code, message = explained(answer)
    words = ": ".join(filter(None, (code, message))) or _status(answer)
    kind: type[RegistryError] = RegistryError
    if answer.status == 429:
        kind, words = RateLimitedError, f"{words}{_wait(answer)}"
    elif code in _UNKNOWN or (answer.status == 404 and code != "BLOB_UNKNOWN"):
        kind = ImageNotFoundError
    elif answer.status in (401, 403):
        # Docker Hub says 401 of what does not exist, so as not to tell what does.
        kind, words = UnauthorizedError, f"it does not exist or needs a login: {words}"
        hint = hint or LOGIN_HINT
    return kind(
        f"cannot {what}: {words}",
        hint=hint,
        status=answer.status,
        code=code,
        url=address_of(response.url),
    )


def explained(answer: Answer) -> tuple[str, str]:
    """Give the registry's own code and message, made fit to be shown; "" for what it left out."""
    try:
        first = next(Document.parse("an error", answer.body).documents("errors"))
    except (ContentError, StopIteration):
        return "", ""
    return _shown(first.fields.get("code")), _shown(first.fields.get("message"))


def _shown(text: object) -> str:
    """Strip a stranger's text of what would move a terminal's cursor, and of its length."""
    if not isinstance(text, str):
        return ""
    words = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    return words if len(words) <= _MAX_WORDS else f"{words[:_MAX_WORDS]}..."


def _status(answer: Answer) -> str:
    phrase = responses.get(answer.status, "")
    return f"status {answer.status}" + (f" ({phrase.lower()})" if phrase else "")


def _wait(answer: Answer) -> str:
    seconds = retry_after(answer.headers)
    return "" if seconds is None else f" (it asks to wait {seconds:.0f} seconds)"
