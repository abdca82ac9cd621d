"""One user's chrun: an open store, what this machine allows, and the way to registries."""

from __future__ import annotations

import os
from _thread import allocate_lock

from chrun.errors import StoreError
from chrun.linux.host import Host, Lack, read_first_line, read_host, surroundings
from chrun.oci.platform import Platform, machine_platform, normalized
from chrun.runtime.launch import open_init, read_init
from chrun.store.answers import find_answer, keep_answer, packed
from chrun.store.containers import clear_abandoned, create_container, remove_container
from chrun.store.faults import store_error
from chrun.store.layout import LAYERS_ROOM
from chrun.store.store import open_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from chrun.engine.archives import ArchiveLayer
    from chrun.engine.containers import Composed
    from chrun.engine.progress import Progress
    from chrun.engine.request import RunRequest
    from chrun.engine.users import Users
    from chrun.registry.client import Registry
    from chrun.store.containers import Container
    from chrun.store.records import ImageRecord

_FORMAT = 5


class Engine:
    """What every command and the Python API start from; safe to share between threads.

    `make_progress` is called when something is fetched. `insecure` registries, and those that the
    variable CHRUN_INSECURE_REGISTRIES lists between commas, may be asked over plain HTTP. Opening
    it makes the store, if there is none, and clears what dead containers left.
    """

    def __init__(
        self,
        root: str,
        make_progress: Callable[[], Progress],
        *,
        insecure: Collection[str] = (),
    ) -> None:
        self.store = open_store(root, create=True)
        self._make_progress = make_progress
        listed = os.environ.get("CHRUN_INSECURE_REGISTRIES", "")
        self._insecure = {*insecure, *filter(None, listed.split(","))}
        self._host: Host | None = None
        self._lock = allocate_lock()
        self._init = b""  # the program
        self.notices = self._warnings() + self.clear_up()
        self.kept: dict[RunRequest, tuple[object, Composed]] = {}  # engine/containers.py's

    def reopen(self) -> None:
        """Look at the store's path again: another user may be able to replace the store by now.

        StoreError as from opening it. Without effect where all is as it was.
        """
        store = open_store(self.store.layout.root, create=True)
        if store.layout != self.store.layout or store.warning != self.store.warning:
            self.store = store
            self.kept.clear()
            self.notices = self._warnings()

    def _warnings(self) -> tuple[str, ...]:
        return (self.store.warning,) if self.store.warning else ()

    @property
    def host(self) -> Host:
        """This machine, and what it lacks."""
        if self._host is None:
            self._host = self._read_host()
        return self._host

    def open_init(self) -> int:
        """Return a sealed descriptor of chrun-init for one container, which the caller closes.

        The program is read once: another version would not read the plans of this one.
        """
        with self._lock:
            self._init = self._init or read_init()
        return open_init(self._init)

    def find_image(self, name: str, platform: str, room: str = LAYERS_ROOM) -> ImageRecord | None:
        """Find an image in the store; `platform` "" is the machine's."""
        return self.store.with_room(room).find_image(name, str(_platform(platform)))

    def pull(self, name: str, platform: str = "", users: Users | None = None) -> ImageRecord:
        """Fetch an image, by default for those whom its files would belong to without being asked.

        The errors are those of `engine.pull.pull`.
        """
        from chrun.engine.ownership import unpacker_for
        from chrun.engine.pull import pull
        from chrun.engine.users import choose_users
        from chrun.oci.reference import Reference

        users = users or choose_users(self._host or read_host(), self.store.layout, "", "confined")
        store, unpack = self.store.with_room(users.room), unpacker_for(users, self.store.layout)
        reference, wanted = Reference.parse(name), _platform(platform)
        with self._make_progress() as progress:
            return pull(store, self._registry(), reference, wanted, progress, unpack)

    def complete(self, record: ImageRecord, users: Users) -> None:
        """Unpack what an image was not unpacked for these users; the errors are `pull`'s."""
        if all(map(os.path.isdir, record.layers)):
            return
        from chrun.engine.ownership import unpacker_for
        from chrun.engine.pull import unpack_again

        store, unpack = self.store.with_room(users.room), unpacker_for(users, self.store.layout)
        with self._make_progress() as progress:
            unpack_again(store, self._registry(), record, progress, unpack)

    def open_archive(self, path: str, users: Users) -> ArchiveLayer:
        """Unpack a root file system's archive, unless that was done before for these users."""
        from chrun.engine.archives import open_archive
        from chrun.engine.ownership import unpacker_for

        unpack = unpacker_for(users, self.store.layout) if users.kind == "subuid" else None
        return open_archive(self.store.with_room(users.room), path, unpack)

    def _registry(self) -> Registry:
        from chrun.engine.waiting import read_patience
        from chrun.registry.client import Registry
        from chrun.registry.credentials import CredentialStore

        return Registry(
            credentials=CredentialStore(),
            insecure=self._insecure,
            patience=read_patience(os.environ),
        )

    def abandon(self, container: Container, error: BaseException) -> None:
        """Remove a container that could not be started; a failure of that is a note on `error`."""
        try:
            remove_container(self.store.layout, container)
        except StoreError as second:
            error.add_note(str(second))
        self.clear_up()

    def clear_up(self) -> tuple[str, ...]:
        """Remove what killed containers left; what cannot be removed is a notice, no more."""
        layout = self.store.layout
        try:
            if clear_abandoned(layout, release) or os.listdir(layout.trash_dir):
                from chrun.engine.trash import empty_trash

                empty_trash(layout)
        except StoreError as error:
            return (str(error),)
        except OSError as error:
            return (str(store_error(f"look into {layout.trash_dir}", error)),)
        return ()

    def _read_host(self) -> Host:
        """Ask the kernel, unless all was there when this user asked it here since it booted."""
        host = read_host()
        question = packed(
            _FORMAT,
            read_first_line("/proc/sys/kernel/random/boot_id"),
            surroundings(),
            tuple(getattr(host, field) for field in Host.fields if field != "lacks"),
        )
        layout = self.store.layout
        # What was missing is asked for again each time: somebody may have mended it.
        if find_answer(layout, layout.host_answer_path, question) is not None:
            return host
        lacks = self.probe(host)
        # Nobody can tell one filter of system calls from another: no answer holds for the next.
        if not lacks and not host.filtered:
            keep_answer(layout, layout.host_answer_path, question, b"")
        return host.replace(lacks=lacks)

    def probe(self, host: Host) -> tuple[Lack, ...]:
        """Ask the kernel, by trying, what this user may not do with this store.

        Where it cannot be written to, what they may not do elsewhere: containers need not write.
        """
        from chrun.runtime.probe import probe_host

        layout = self.store.layout
        try:
            container = create_container(layout, "", name="", keep=False)
        except StoreError as error:
            from chrun.engine.spare import probe_elsewhere

            return probe_elsewhere(host, error)
        try:
            return probe_host(host, layout.base_dir, container.directory)
        finally:
            remove_container(layout, container)
            self.clear_up()


def release(directory: str) -> None:
    """Free what a container still has of the machine whose monitor is dead. OSError.

    Its first process, if it outlived that, and its cgroups.
    """
    if os.path.islink(f"{directory}/process"):
        from chrun.engine.outliving import end_first_process

        end_first_process(directory)
    list_path = f"{directory}/cgroups"
    if os.path.exists(list_path):
        from chrun.linux.cgroup_removal import remove_cgroups

        remove_cgroups(list_path)


def _platform(text: str) -> Platform:
    return Platform.parse(text) if text else normalized(machine_platform())
