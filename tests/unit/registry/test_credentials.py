"""Credentials as docker, podman and credential helpers keep them."""

import base64
import json
import os
import subprocess
import sys

import pytest

from chrun.errors import ContentError, UnauthorizedError
from chrun.registry.credentials import Credential, CredentialStore
from tests.support.needs import needs

_ALICE = Credential("alice", "secret")


def _auth(text):
    return {"auth": base64.b64encode(text.encode()).decode()}


def _written(path, **fields):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fields))


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def environ(home, tmp_path):
    return {"HOME": str(home), "XDG_RUNTIME_DIR": str(tmp_path / "run")}


@pytest.fixture
def find(environ):
    """Look up in files as they are now."""
    return lambda *wanted: CredentialStore(environ).find(*wanted)


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """Give a function that installs a credential helper; what it was asked is in the file asked."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def install(name, script):
        program = programs / f"docker-credential-{name}"
        program.write_text(f"#!/bin/sh\ncat > {tmp_path}/asked\n{script}\n")
        program.chmod(0o755)
        return tmp_path / "asked"

    return install


def test_without_any_file_there_are_none(find):
    assert not find("ghcr.io")
    assert find("ghcr.io").problem == ""


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (_auth("alice:secret"), _ALICE),
        (_auth("alice:se:cret"), Credential("alice", "se:cret")),
        (_auth("alice:secret\0\0"), _ALICE),
        ({"username": "alice", "password": "secret"}, _ALICE),
        ({"identitytoken": "t"}, Credential(identity_token="t")),
        ({**_auth("alice:"), "identitytoken": "t"}, Credential("alice", identity_token="t")),
    ],
)
def test_entries_are_read_in_every_form(home, find, entry, expected):
    _written(home / ".docker/config.json", auths={"ghcr.io": entry})
    assert find("ghcr.io", "a/b") == expected


@pytest.mark.parametrize("key", ["https://ghcr.io", "https://ghcr.io/v1/", "http://ghcr.io/v2/"])
def test_old_keys_have_a_scheme_and_a_version_around_the_name(home, find, key):
    _written(home / ".docker/config.json", auths={key: _auth("alice:secret")})
    assert find("ghcr.io") == _ALICE


@pytest.mark.parametrize(
    "key", ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"]
)
def test_docker_hub_has_many_names(home, find, key):
    _written(home / ".docker/config.json", auths={key: _auth("alice:secret")})
    assert find("docker.io", "library/redis") == _ALICE


def test_of_docker_hubs_names_dockers_own_counts_in_every_process(home, environ):
    names = ("registry-1.docker.io", "docker.io", "https://index.docker.io/v1/")
    _written(home / ".docker/config.json", auths={name: _auth(f"{name[-4:]}:1") for name in names})
    script = (
        "from chrun.registry.credentials import CredentialStore; "
        "print(CredentialStore().find('docker.io', 'a/b').username)"
    )
    for seed in range(4):
        found = subprocess.run(
            [sys.executable, "-c", script],
            env={**environ, "PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": str(seed)},
            stdout=subprocess.PIPE,
            check=True,
        )
        assert found.stdout == b"/v1/\n"


def test_another_registrys_are_not_found(home, find):
    _written(home / ".docker/config.json", auths={"ghcr.io": _auth("alice:secret")})
    for other in ("docker.io", "ghcr.io:5000", "evil.ghcr.io", "cr.io"):
        assert not find(other, "ghcr.io")


def test_the_most_specific_key_counts(home, find):
    _written(
        home / ".config/containers/auth.json",
        auths={
            "quay.io": _auth("everybody:1"),
            "quay.io/team": _auth("team:2"),
            "quay.io/team/app": _auth("app:3"),
        },
    )
    assert find("quay.io", "team/app").username == "app"
    assert find("quay.io", "team/app/sub").username == "app"
    assert find("quay.io", "team/application").username == "team"
    assert find("quay.io", "else").username == "everybody"


def test_files_are_read_in_their_order(home, environ, tmp_path, find):
    _written(home / ".docker/config.json", auths={"a": _auth("docker:1")})
    assert find("a").username == "docker"
    _written(home / ".config/containers/auth.json", auths={"a": _auth("config:1")})
    assert find("a").username == "config"
    _written(tmp_path / "run/containers/auth.json", auths={"a": _auth("runtime:1")})
    assert find("a").username == "runtime"
    _written(tmp_path / "dir/config.json", auths={"a": _auth("dir:1")})
    environ["DOCKER_CONFIG"] = str(tmp_path / "dir")
    assert find("a").username == "dir"
    _written(tmp_path / "explicit.json", auths={"a": _auth("explicit:1")})
    environ["REGISTRY_AUTH_FILE"] = str(tmp_path / "explicit.json")
    assert find("a").username == "explicit"


def test_a_file_that_does_not_know_the_registry_leaves_it_to_the_next(home, find):
    _written(home / ".config/containers/auth.json", auths={"b": _auth("config:1")})
    _written(home / ".docker/config.json", auths={"a": _auth("docker:1")})
    assert find("a").username == "docker"


def test_xdg_config_home_is_honoured(environ, tmp_path, find):
    environ["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
    _written(tmp_path / "xdg/containers/auth.json", auths={"a": _auth("alice:secret")})
    assert find("a") == _ALICE


def test_an_empty_file_is_an_empty_object(home, find):
    path = home / ".docker/config.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert not find("a")


def test_a_file_that_is_no_json_is_an_error(home, find):
    path = home / ".docker/config.json"
    path.parent.mkdir(parents=True)
    path.write_text("{secret")
    with pytest.raises(ContentError, match=r"config\.json: not JSON") as raised:
        find("a")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("encoded", ["no base64!", "////"])
def test_an_auth_that_is_no_base64_is_an_error_that_does_not_show_it(home, find, encoded):
    _written(home / ".docker/config.json", auths={"a": {"auth": encoded}})
    with pytest.raises(ContentError, match="auth is not base64") as raised:
        find("a")
    assert encoded not in str(raised.value)


def test_a_file_that_cannot_be_read_is_an_error(home, find):
    (home / ".docker/config.json").mkdir(parents=True)
    with pytest.raises(UnauthorizedError, match=r"config\.json: is a directory"):
        find("a")


def test_a_store_reads_its_files_once(home, environ):
    _written(home / ".docker/config.json", auths={"a": _auth("alice:secret")})
    store = CredentialStore(environ)
    assert store.find("a") == _ALICE
    (home / ".docker/config.json").unlink()
    assert store.find("a") == _ALICE


def test_a_helper_of_the_registry_is_asked(home, find, helper):
    asked = helper("mine", """echo '{"ServerURL":"a","Username":"alice","Secret":"secret"}'""")
    _written(home / ".docker/config.json", credHelpers={"a:5000": "mine"}, credsStore="other")
    assert find("a:5000", "x") == _ALICE
    assert asked.read_text() == "a:5000"


def test_a_helper_of_all_registries_is_asked_for_docker_hub_by_its_old_name(home, find, helper):
    asked = helper("all", """echo '{"Username":"<token>","Secret":"t"}'""")
    hub = "https://index.docker.io/v1/"
    _written(home / ".docker/config.json", auths={hub: {}}, credsStore="all")
    assert find("docker.io", "library/redis") == Credential(identity_token="t")
    assert asked.read_text() == hub


def test_a_helper_that_knows_nothing_is_no_problem(home, find, helper):
    helper("all", "echo 'credentials not found in native keychain'; exit 1")
    _written(home / ".docker/config.json", credsStore="all")
    assert find("a") == Credential()


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo secret; exit 3", "docker-credential-bad failed with status 3"),
        ("echo secret", "cannot read the answer of docker-credential-bad: not JSON"),
        (
            "echo '{\"Username\": 1}'",
            "cannot read the answer of docker-credential-bad: Username is",
        ),
    ],
)
def test_a_helper_that_fails_is_a_problem_but_no_error(home, find, helper, script, problem):
    helper("bad", script)
    _written(home / ".docker/config.json", credsStore="bad")
    assert not find("a")
    assert find("a").problem.startswith(problem)
    assert "secret" not in find("a").problem


def test_a_helper_that_is_not_there_is_a_problem_but_no_error(home, find):
    _written(home / ".docker/config.json", credsStore="nowhere")
    assert find("a").problem == "docker-credential-nowhere is not installed"


def test_a_helper_that_cannot_be_run_is_a_problem_but_no_error(home, find, helper):
    helper("unrunnable", "").parent.joinpath("bin/docker-credential-unrunnable").chmod(0)
    _written(home / ".docker/config.json", credsStore="unrunnable")
    assert find("a").problem == "docker-credential-unrunnable cannot be run: Permission denied"


@needs("ordinary user")
def test_what_this_user_may_not_enter_holds_nothing_of_theirs(home, find):
    closed = home / ".config/containers"
    closed.mkdir(parents=True)
    (closed / "auth.json").touch()
    closed.chmod(0)
    assert not find("a")
    closed.chmod(0o700)
    (closed / "auth.json").chmod(0)
    with pytest.raises(UnauthorizedError, match=r"auth\.json: permission denied"):
        find("a")


def test_a_helper_is_a_name_and_no_path(home, find):
    _written(home / ".docker/config.json", credsStore="../../tmp/x")
    assert find("a").problem == "docker-credential-../../tmp/x is not the name of a program"


def test_the_next_file_is_asked_when_a_helper_fails(home, find):
    _written(home / ".config/containers/auth.json", credHelpers={"a": "nowhere"})
    _written(home / ".docker/config.json", auths={"a": _auth("alice:secret")})
    assert find("a") == _ALICE


def test_basic_is_made_of_user_and_password():
    assert _ALICE.basic == "Basic " + base64.b64encode(b"alice:secret").decode()
    assert Credential(identity_token="t").basic == ""


def test_no_repr_shows_a_secret():
    assert "secret" not in repr(Credential("alice", "secret", "secret"))


@pytest.mark.parametrize(
    "fields",
    [
        {"credHelpers": {"a": "x\ud800"}},
        {"credHelpers": {"a": "x\0"}},
        {"credsStore": "\ud800"},
        {"auths": {"a": {"username": "\ud800", "password": "x"}}},
        {"auths": {"a": {"identitytoken": "\0"}}},
        {"auths": {"a": {"auth": "ü"}}},
        {"auths": {"a": {"auth": "\udcff"}}},
    ],
)
def test_what_is_no_text_in_a_file_is_an_error_that_says_where(home, find, fields):
    _written(home / ".docker/config.json", **fields)
    with pytest.raises(ContentError, match=r"^cannot read .*config\.json: "):
        find("a")
