"""A virtual machine for the tests that this machine's own kernel cannot serve: `make test-vm`.

Takes Debian's packages and this checkout, gives a machine with Debian's kernel 6.1, cgroup v2 with
all its controllers, users with and without subordinate IDs and no network. QEMU emulates it, so it
needs no KVM and no privilege of the host's but root's right to write files of others into an image.

    python -m tests.vm                      all that is listed in `guises.py`
    python -m tests.vm plain tests/cli/...  these tests in that guise (plain or systemd)
"""
