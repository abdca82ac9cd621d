"""Names, labels and texts that are meant for a shell, a path or a terminal of the host's."""

from __future__ import annotations

import json
import os

import pytest

from tests.support import images
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\x7f\u202e"
_CONTROLS = {"\x1b", "\x07", "\x9b", "\r", "\x7f", "\u202e"}
_HOSTILE = (
    "../../x", "/", "..", ".", "a/b", "/etc/passwd", "-x", "a\nb", "a b", "$(touch /tmp/owned)",
    "`id`", "a;id", "%h", "\x1b[2J", "x" * 5000, "a\\b", "~root", "*", "ä",
)  # fmt: skip


def test_a_containers_name_is_never_a_path_or_a_command(chrun, box):
    """A hostile --name is refused in words, and nothing is made outside of the names' room."""
    before = sorted(os.listdir(chrun.home))
    for name in _HOSTILE:
        done = chrun("run", f"--name={name}", box, "true", status=125)
        check_printable(done.stderr)
    assert sorted(os.listdir(chrun.home)) == before


def test_a_volumes_name_is_never_a_path_or_a_command(chrun, box):
    """CVE-2018-15664's kind: a volume is called by letters, or it is none."""
    before = sorted(os.listdir(chrun.home))
    for name in _HOSTILE:
        for words in (("volume", "create", "--", name), ("volume", "rm", "--", name),
                      ("volume", "inspect", "--", name),
                      ("run", "--mount", f'"source={name}",target=/v', box, "true")):  # fmt: skip
            done = chrun(*words, status=125)
            assert done.stderr.startswith("chrun: cannot "), words
            check_printable(done.stderr)
    assert set(os.listdir(chrun.home)) - set(before) <= {"volumes"}
    assert chrun("volume", "ls", "-q").stdout == ""


def test_a_forced_removal_of_a_volume_stays_in_its_room(chrun, tmp_path):
    """`rm -f` of what climbs out removes nothing."""
    (tmp_path / "_data").mkdir()
    way = os.path.relpath(tmp_path, chrun.home / "volumes")
    chrun("volume", "rm", "-f", way, status=125)
    assert (tmp_path / "_data").is_dir()


def test_labels_reach_no_terminal_raw(chrun):
    """What a label says is shown as JSON, in which control characters are spelt."""
    chrun("volume", "create", "--label", f"k={ESCAPES}", "labelled")
    for words in (("volume", "ls"), ("volume", "ls", "--format", "json"),
                  ("volume", "inspect", "labelled")):  # fmt: skip
        check_printable(chrun(*words).stdout)
    (told,) = json.loads(chrun("volume", "inspect", "labelled").stdout)
    assert told["Labels"]["k"] == ESCAPES
    chrun("volume", "rm", "labelled")


@pytest.mark.parametrize(
    "words",
    [
        ("-v", f"/no{ESCAPES}:/v"), ("-v", f"/:/v{ESCAPES}:what"), ("-e", "=" + ESCAPES),
        ("--tmpfs", ESCAPES), ("--mount", f"type={ESCAPES.replace(chr(10), '')}"),
        ("--device", f"/dev/{ESCAPES}"), ("--hostname", ESCAPES), ("-w", ESCAPES),
        ("-u", ESCAPES), ("--entrypoint", ESCAPES), ("--isolation", ESCAPES), (f"--{ESCAPES}",),
    ],
)  # fmt: skip
def test_no_word_of_the_command_line_reaches_the_terminal_raw(chrun, box, words):
    """Escape sequences in what chrun quotes are shown, not obeyed."""
    done = chrun("run", *words, box, "true", status=None)
    assert done.returncode in {125, 126, 127}
    check_printable(done.stderr)


def test_no_text_of_an_image_reaches_the_terminal_raw(chrun, registry):
    """Escape sequences in an image's configuration are shown, not obeyed."""
    hostile = images.image(
        [images.layer({"x": "y"})],
        entrypoint=[f"/bin/{ESCAPES}"],
        env=[f"NAME={ESCAPES}"],
        working_dir=f"/{ESCAPES}",
    )
    registry.add(hostile, "escapes", "1")
    name = f"{registry.host}/escapes:1"
    check_printable(chrun("run", name, status=127).stderr)
    check_printable(chrun("explain", name).stdout)
    user = images.image([images.layer({"x": "z"})], cmd=["/x"], user=ESCAPES)
    registry.add(user, "escapes", "2")
    check_printable(chrun("run", f"{registry.host}/escapes:2", status=125).stderr)
    check_printable(chrun("images").stdout)


def test_a_hostile_environment_stays_in_the_container(chrun, box, tmp_path):
    """No variable of the image's or the user's reaches a shell or a loader of the host's."""
    marker = tmp_path / "owned"
    given = {
        "BASH_ENV": f"$(touch {marker})", "ENV": f"$(touch {marker})", "PS4": f"$(touch {marker})",
        "LD_PRELOAD": "/no/such.so", "PYTHONSTARTUP": "/no/such.py", "GCONV_PATH": str(tmp_path),
        "IFS": "x", "A\nB": "c", "TERM": ESCAPES,
    }  # fmt: skip
    words = [word for pair in given.items() for word in ("-e", "=".join(pair))]
    done = chrun("run", *words, box, "/bin/busybox", "true", status=None)
    assert done.returncode in {0, 1, 127}
    check_printable(done.stderr)
    assert not marker.exists()


def check_printable(text: str) -> None:
    assert not _CONTROLS & set(text), text
    assert all(line.isprintable() for line in text.replace("\t", " ").splitlines()), text
