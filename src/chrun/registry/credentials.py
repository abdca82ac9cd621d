"""The credentials that docker, podman and their kin keep: config.json, auth.json and helpers.

Read in this order, the first that knows the registry counts: $REGISTRY_AUTH_FILE,
$DOCKER_CONFIG/config.json, $XDG_RUNTIME_DIR/containers/auth.json (as root without it:
/run/containers/0/auth.json), ~/.config/containers/auth.json, ~/.docker/config.json.
"""

from __future__ import annotations

import base64
import os
import subprocess

from chrun.errors import ContentError, UnauthorizedError
from chrun.oci.document import Document
from chrun.oci.reference import DOCKER_HUB
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HELPER_TIMEOUT_SECONDS = 30
_HUB_SERVER = "https://index.docker.io/v1/"  # the key under which docker keeps Docker Hub's
_HUB_NAMES = ("index.docker.io", DOCKER_HUB, "registry-1.docker.io")  # docker's own goes first
_TOKEN_USER = "<token>"  # noqa: S105 - how a helper says that its secret is an identity token


class Credential(Value):
    """A user and password, or an identity token; or nothing, with the `problem` that hid it."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    problem: str = ""

    def __bool__(self) -> bool:
        return bool(self.password or self.identity_token)

    def __repr__(self) -> str:
        return f"Credential(username={self.username!r}, problem={self.problem!r}, ...)"

    @property
    def basic(self) -> str:
        """The Authorization header's value for Basic (RFC 7617), "" without a password."""
        if not self.password:
            return ""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


ANONYMOUS = Credential()


class CredentialStore:
    """Looks credentials up; nothing is read before it is asked, and files only once."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._files: tuple[Document, ...] | None = None

    def find(self, registry: str, repository: str = "") -> Credential:
        """Give the credential for a repository, the most specific one; an empty one if none is.

        A helper that fails leaves its `problem` in the empty credential: an anonymous pull need
        not know. ContentError and UnauthorizedError for a file that cannot be read.
        """
        if self._files is None:
            self._files = tuple(_documents(self._environ))
        problem = ""
        for file in self._files:
            credential = _find_in(file, registry, repository)
            if credential:
                return credential
            problem = problem or credential.problem
        return Credential(problem=problem)


def _documents(environ: Mapping[str, str]) -> Iterator[Document]:
    for path in _paths(environ):
        try:
            with open(path, "rb") as file:
                content = file.read()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if not os.access(os.path.dirname(path), os.X_OK):
                continue  # what this user may not enter holds nothing of theirs: podman's, of root
            reason = (error.strerror or "input/output error").lower()
            raise UnauthorizedError(f"cannot read {path}: {reason}") from error
        yield Document.parse(path, content or b"{}")


def _paths(environ: Mapping[str, str]) -> Iterator[str]:
    if explicit := environ.get("REGISTRY_AUTH_FILE"):
        yield explicit
    if docker_dir := environ.get("DOCKER_CONFIG"):
        yield os.path.join(docker_dir, "config.json")
    runtime_dir = environ.get("XDG_RUNTIME_DIR")
    yield os.path.join(runtime_dir or "/run", "containers", *_run_owner(runtime_dir), "auth.json")
    home_dir = environ.get("HOME") or os.path.expanduser("~")
    config_dir = environ.get("XDG_CONFIG_HOME") or os.path.join(home_dir, ".config")
    yield os.path.join(config_dir, "containers", "auth.json")
    yield os.path.join(home_dir, ".docker", "config.json")


def _run_owner(runtime_dir: str | None) -> tuple[str, ...]:
    return () if runtime_dir else (str(os.geteuid()),)


def _find_in(file: Document, registry: str, repository: str) -> Credential:
    names = _HUB_NAMES if registry == DOCKER_HUB else (registry,)
    server = _HUB_SERVER if registry == DOCKER_HUB else registry
    helpers = file.mapping("credHelpers")
    for name in (server, *names):
        if name in helpers:
            return _ask_helper(helpers[name], server)
    entries = file.document("auths")
    known = {_bare(key): key for key in entries.fields}
    for name in names:
        for key in _keys(name, repository):
            if key in known and (credential := _read_entry(entries.document(known[key]))):
                return credential
    store = file.text("credsStore", "")
    return _ask_helper(store, server) if store else ANONYMOUS


def _keys(registry: str, repository: str) -> Iterator[str]:
    """Give a/b/c, a/b, a: the most specific first."""
    key = f"{registry}/{repository}" if repository else registry
    while key:
        yield key
        key = key.rpartition("/")[0]


def _bare(key: str) -> str:
    """Give a key without what old clients wrote around it: https://host/v1/ is host."""
    bare = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    return bare.removesuffix("/v1").removesuffix("/v2")


def _read_entry(entry: Document) -> Credential:
    username, password = entry.text("username", ""), entry.text("password", "")
    if encoded := entry.text("auth", ""):
        try:
            pair = base64.b64decode(encoded, validate=True).decode()
        except ValueError as error:  # not ASCII, not base64, or not UTF-8 in it
            raise ContentError(f"cannot read {entry.what}: auth is not base64") from error
        username, _, password = pair.partition(":")
    return Credential(username, password.rstrip("\0"), entry.text("identitytoken", ""))


def _ask_helper(name: str, server: str) -> Credential:
    """Run `docker-credential-NAME get`; its failures are told, not raised."""
    helper = f"docker-credential-{name}"
    if os.sep in name:
        return Credential(problem=f"{helper} is not the name of a program")
    try:
        ended = subprocess.run(
            [helper, "get"],
            input=server.encode(),
            capture_output=True,
            timeout=_HELPER_TIMEOUT_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        return Credential(problem=f"{helper} is not installed")
    except subprocess.TimeoutExpired:
        return Credential(problem=f"{helper} gave no answer in {_HELPER_TIMEOUT_SECONDS} seconds")
    except OSError as error:
        return Credential(problem=f"{helper} cannot be run: {error.strerror}")
    if ended.returncode == 0:
        return _read_helper(helper, ended.stdout)
    if b"credentials not found" in ended.stdout + ended.stderr:
        return ANONYMOUS
    return Credential(problem=f"{helper} failed with status {ended.returncode}")


def _read_helper(helper: str, output: bytes) -> Credential:
    try:
        answer = Document.parse(f"the answer of {helper}", output)
        username, secret = answer.text("Username", ""), answer.text("Secret", "")
    except ContentError as error:
        return Credential(problem=str(error))
    if username == _TOKEN_USER:
        return Credential(identity_token=secret)
    return Credential(username, secret)
