"""chrun run, as a user types it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import ExitStack

import pytest

from tests.support.needs import needs
from tests.support.waiting import is_abandoned, wait_until

pytestmark = needs("busybox", "overlay")


def sh(chrun, box, script, *options, status=0, **env):
    return chrun("run", *options, box, "sh", "-c", script, status=status, **env).stdout


def test_the_command_runs_and_its_output_is_the_only_output(chrun, box):
    done = chrun("run", box, "echo", "hello")
    assert (done.stdout, done.stderr) == ("hello\n", "")


def test_the_images_own_command_runs_when_none_is_given(chrun, box):
    assert chrun("run", "-i", box, input="echo from the shell\n").stdout == "from the shell\n"


@pytest.mark.parametrize("status", [0, 1, 42, 125, 255])
def test_the_exit_status_is_the_commands(chrun, box, status):
    chrun("run", box, "sh", "-c", f"exit {status}", status=status)


def test_a_command_killed_by_a_signal_gives_128_and_its_number(chrun, box):
    # PID 1 ignores what it has no handler for, so its child dies and the shell passes that on
    script = "sh -c 'kill -TERM $$'; exit $?"
    chrun("run", box, "sh", "-c", script, status=128 + signal.SIGTERM)


def test_a_missing_command_is_127_and_one_line(chrun, box):
    done = chrun("run", box, "/no/such", status=127)
    assert done.stderr == 'chrun: cannot run "/no/such": the image has no such command\n'
    assert chrun("run", box, "nosuch", status=127).stderr.startswith('chrun: cannot run "nosuch": ')


def test_a_file_without_its_execute_bit_is_126(chrun, box):
    done = chrun("run", box, "/etc/passwd", status=126)
    assert done.stderr.splitlines()[0] == 'chrun: cannot run "/etc/passwd": it is not executable'


def test_a_program_for_another_processor_is_126_and_says_so(chrun, box, tmp_path):
    # the header of an ELF program for a machine that nobody has (EM_M32, an AT&T WE 32100)
    header = bytearray(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x01\x00" + bytes(44))
    program = tmp_path / "alien"
    program.write_bytes(header)
    program.chmod(0o755)
    done = chrun("run", "-v", f"{program}:/alien", box, "/alien", status=126)
    assert "a program for this machine's processor" in done.stderr


def test_a_script_whose_interpreter_is_missing_says_that(chrun, box, tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/usr/bin/perl\n")
    script.chmod(0o755)
    done = chrun("run", "-v", f"{script}:/script", box, "/script", status=127)
    assert "the interpreter or loader that it names is not in the image" in done.stderr


def test_the_environment_is_the_images_and_what_was_asked_for(chrun, box):
    out = sh(chrun, box, "env", "-e", "A=1", "-e", "FROM_ME", "-e", "NOT_SET", FROM_ME="mine",
             SECRET="no")  # fmt: skip
    variables = dict(line.split("=", 1) for line in out.splitlines())
    assert variables["A"] == "1"
    assert variables["FROM_ME"] == "mine"
    assert variables["HOME"] == "/root"
    assert not {"SECRET", "NOT_SET", "CHRUN_HOME"} & set(variables)


def test_the_host_name_is_the_same_in_every_place(chrun, box):
    script = 'hostname; echo "$HOSTNAME"; cat /etc/hostname; grep -c "$HOSTNAME" /etc/hosts'
    kernel, variable, file, hosts = sh(chrun, box, script).split()
    assert kernel == variable == file
    assert len(kernel) == 12
    assert hosts == "1"
    assert sh(chrun, box, script, "--hostname", "web").split() == ["web", "web", "web", "1"]


def test_working_directory_and_user_are_as_asked(chrun, box):
    assert sh(chrun, box, "pwd", "-w", "/new", "-u", "1234").strip() == "/new"
    assert sh(chrun, box, "pwd", "-w", "/made/for/this").strip() == "/made/for/this"
    assert sh(chrun, box, "id -u; id -g", "-u", "1234:567").split() == ["1234", "567"]
    assert sh(chrun, box, "whoami", "-u", "www-data").strip() == "www-data"


def test_entrypoint_replaces_the_images(chrun, box):
    assert chrun("run", "--entrypoint", "echo", box, "a", "b").stdout == "a b\n"


def test_a_volume_shows_the_hosts_files_and_takes_writes(chrun, box, tmp_path):
    (tmp_path / "in").write_text("seen")
    out = sh(chrun, box, "cat /v/in; echo kept > /v/out", "-v", f"{tmp_path}:/v")
    assert out == "seen"
    assert (tmp_path / "out").read_text() == "kept\n"
    assert (tmp_path / "out").stat().st_uid == os.geteuid()  # belongs to the caller


def test_a_read_only_volume_takes_none(chrun, box, tmp_path):
    done = chrun("run", "-v", f"{tmp_path}:/v:ro", box, "touch", "/v/x", status=1)
    assert "Read-only file system" in done.stderr
    assert not (tmp_path / "x").exists()


def test_a_single_file_can_be_a_volume(chrun, box, tmp_path):
    (tmp_path / "f").write_text("one file")
    assert sh(chrun, box, "cat /new/dir/f", "-v", f"{tmp_path}/f:/new/dir/f:ro") == "one file"


def test_a_read_only_root_is_read_only_but_for_what_is_mounted(chrun, box):
    script = "touch /x 2>/dev/null || echo refused; touch /dev/shm/ok /run/ok && echo allowed"
    out = sh(chrun, box, script, "--read-only", "--tmpfs", "/run")
    assert out.split() == ["refused", "allowed"]


def test_the_machines_files_in_a_read_only_root_are_read_only_too(chrun, box):
    names = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
    script = f"for f in {' '.join(names)}; do (echo x >>$f) 2>/dev/null && echo $f; done; true"
    assert sh(chrun, box, script).split() == [*names]
    assert sh(chrun, box, script, "--read-only").split() == []


def test_tmpfs_is_empty_sized_and_in_memory(chrun, box):
    out = sh(chrun, box, "df -k /cache | tail -1; ls /cache", "--tmpfs", "/cache:size=1m")
    assert out.split()[:2] == ["tmpfs", "1024"]


def test_containers_never_see_each_others_files(chrun, box):
    sh(chrun, box, "echo secret > /mine; echo 'root::0:0::/:/bin/sh' > /etc/passwd")
    assert sh(chrun, box, "ls /mine 2>/dev/null; wc -l < /etc/passwd").strip() != "1"


@pytest.mark.parametrize("scratch", ["disk", "tmpfs", "tmpfs:4m"])
def test_the_root_can_be_written_to_wherever_changes_go(chrun, box, scratch):
    script = "echo x > /etc/new && mkdir -p /a/b && rm /etc/group && mv /bin/wget /tmp && ls /tmp"
    assert sh(chrun, box, script, "--scratch", scratch).strip() == "wget"


def test_scratch_in_memory_is_full_when_it_is_full(chrun, box):
    script = "dd if=/dev/zero of=/big bs=64k count=64 2>&1 | grep -c 'No space'"
    assert sh(chrun, box, script, "--scratch", "tmpfs:1m").strip() == "1"


def test_a_copied_root_does_as_well(chrun, box):
    assert sh(chrun, box, "rm /etc/group; ls /etc/group 2>&1 | wc -l", "--rootfs", "copy") == "1\n"
    assert sh(chrun, box, "wc -l < /etc/group").strip() != "0"


def test_without_i_the_input_is_empty(chrun, box):
    assert chrun("run", box, "cat", input="not passed on").stdout == ""
    assert chrun("run", "-i", box, "cat", input="passed on").stdout == "passed on"


def test_pid_1_is_the_command_and_it_sees_nobody_else(chrun, box):
    out = sh(chrun, box, "echo $$; ls -d /proc/[0-9]* | wc -l; true").split()
    assert out[0] == "1"
    assert int(out[1]) <= 3


def test_init_is_pid_1_and_reaps_orphans(chrun, box):
    # the orphan closes the fifo when it ends, and is then nobody's but PID 1's
    script = """
        echo $$; mkfifo /f; (sh -c 'echo $$; exec sleep 0.1' > /f &); exec 3< /f
        read orphan <&3; cat <&3
        while [ -e /proc/$orphan ]; do :; done
    """
    assert sh(chrun, box, script, "--init").strip() != "1"


def test_no_descriptor_of_ours_is_open_inside(chrun, box):
    assert sh(chrun, box, "ls /proc/self/fd").split() == ["0", "1", "2", "3"]  # 3 is ls's own


def test_the_mounts_inside_tell_no_host_paths(chrun, box):
    assert str(chrun.home) not in sh(chrun, box, "cat /proc/mounts")


def test_a_directory_can_be_the_root(chrun, tmp_path):
    bin_dir = tmp_path / "root" / "bin"
    bin_dir.mkdir(parents=True)
    layer = next(path for path in chrun.layers() if (path / "bin/sh").exists())
    for name in ("sh", "ls"):
        (bin_dir / name).write_bytes((layer / "bin/busybox").read_bytes())
        (bin_dir / name).chmod(0o755)
    libraries = [name for name in ("lib", "lib64") if (layer / name).exists()]
    subprocess.run(
        ["cp", "-a", *[layer / name for name in libraries], tmp_path / "root"], check=True
    )
    done = chrun("run", tmp_path / "root", "sh", "-c", "ls /bin; echo x > /changed")
    assert done.stdout.split() == ["ls", "sh"]
    assert not (tmp_path / "root" / "changed").exists()


def test_an_interrupt_ends_a_command_that_does_not_handle_it(chrun, box):
    with chrun.start("run", "-i", box, "cat") as running:  # a shell would handle it
        running.stdin.write("up\n")
        running.stdin.flush()
        assert running.stdout.readline() == "up\n"
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=10)
    assert running.returncode == 128 + signal.SIGINT


def test_a_signal_reaches_a_command_that_handles_it(chrun, box):
    script = "trap 'echo caught; exit 3' TERM; echo up; while :; do sleep 0.1; done"
    with chrun.start("run", box, "sh", "-c", script) as running:
        assert running.stdout.readline() == "up\n"
        running.terminate()
        out, _ = running.communicate(timeout=10)
    assert (out, running.returncode) == ("caught\n", 3)


def test_killing_the_monitor_kills_the_container_and_the_next_command_clears_up(chrun, box):
    with chrun.start("run", box, "sh", "-c", "echo up; sleep 1000") as running:
        assert running.stdout.readline() == "up\n"
        running.kill()
        running.communicate(timeout=10)  # the pipes close when the container is dead
    (container,) = (chrun.home / "containers").iterdir()
    wait_until(lambda: is_abandoned(container))
    chrun("run", box, "true")
    assert chrun.leftovers() == []


def test_a_running_container_keeps_its_directory_when_others_clear_up(chrun, box):
    script = "echo up; read x; echo $x > /f; cat /f"
    with chrun.start("run", "-i", box, "sh", "-c", script) as running:
        assert running.stdout.readline() == "up\n"
        chrun("run", box, "true")
        out, _ = running.communicate("still here\n", timeout=10)
    assert out == "still here\n"


def test_many_at_once_do_not_disturb_each_other(chrun, box):
    script = "echo $0 > /n; echo up; read line; cat /n"
    with ExitStack() as ended:
        started = [
            ended.enter_context(chrun.start("run", "-i", box, "sh", "-c", script, str(number)))
            for number in range(8)
        ]
        assert [running.stdout.readline() for running in started] == ["up\n"] * 8
        outputs = [running.communicate("\n", timeout=60)[0] for running in started]
    assert outputs == [f"{number}\n" for number in range(8)]


def test_a_name_is_taken_while_its_container_lives(chrun, box):
    with chrun.start("run", "--name", "one", box, "sh", "-c", "echo up; sleep 100") as running:
        assert running.stdout.readline() == "up\n"
        done = chrun("run", "--name", "one", box, "true", status=125)
        assert done.stderr.startswith("chrun: cannot name a container one: ")
    chrun("run", "--name", "one", box, "true")
    chrun("run", box, "true")  # clears the name of the container that ended


def test_bad_names_never_become_paths(chrun, box):
    for name in ("../../x", "a/b", ".", "", "-x", "a\nb"):
        done = chrun("run", f"--name={name}", box, "true", status=None)
        assert (done.returncode == 0) == (name == ""), name


def test_closing_our_output_ends_the_run(chrun, box):
    with chrun.start("run", box, "yes") as running:
        running.stdout.read(10)
        running.stdout.close()
        assert running.wait(timeout=20) != 0


def test_a_name_that_a_kept_container_has_tells_where_that_lies(chrun, box):
    chrun("run", "--keep", "--name", "kept", box, "true")
    (kept,) = (chrun.home / "containers").iterdir()
    done = chrun("run", "--name", "kept", box, "true", status=125)
    assert f"remove {kept}, where it was kept" in done.stderr
    shutil.rmtree(kept)
    chrun("run", "--name", "kept", box, "true")
    chrun("images")  # which clears the name of the container that ended
