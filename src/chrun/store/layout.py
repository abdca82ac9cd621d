"""Every path of the data directory.

chrun-store         -> its version; deletion happens only below a directory that has this
images/             an OCI image layout: oci-layout, index.json, blobs/
layers/DIFF-ID/     unpacked layers, shared by every image that has them
owned/MAP/DIFF-ID/  the same, with files that belong to subordinate ids; made when first needed
archived/...        what archives on this machine were unpacked to, for either; when needed
contents/BLOB       -> the diff ID that a blob was found to have; made when first needed
containers/ID/      image -> what it stands on, upper/, work/; locked while it lives
names/NAME          -> container ID
volumes/NAME/       _data/, what containers see, and volume.json; made with the first volume
archives/KEY        -> what, in archived/, an archive on this machine was unpacked to
partial/            what is being fetched and unpacked
locks/DIGEST        who is fetching, or counting on, a blob or layer
trash/              what has lost its name and is being removed
cache/              answers that were worked out once; safe to lose
base/               an empty directory to mount on
mount-points/       the bottom of every overlay: what chrun mounts on and an image may lack
"""

from __future__ import annotations

import os

from chrun.errors import StoreError, UsageError
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.oci.digest import Digest

# Every directory of a store, parents first.
_DIRECTORIES = (
    "images",
    "images/blobs",
    "images/blobs/sha256",
    "images/blobs/sha512",
    "layers",
    "containers",
    "names",
    "archives",
    "partial",
    "locks",
    "trash",
    "cache",
    "cache/images",
    "base",
    "mount-points",
)


LAYERS_ROOM = "layers"
_ARCHIVED = "archived"


class Layout(Value):
    """The paths below one data directory, `root`, which is absolute.

    `room` is the one of its directories of layers that is meant. Answers that were cached are used
    only where it `keeps_answers`: no other user could replace the store.
    """

    root: str
    room: str = LAYERS_ROOM
    keeps_answers: bool = True

    @property
    def directories(self) -> tuple[str, ...]:
        """Every directory that a store has, parents first."""
        return tuple(f"{self.root}/{name}" for name in _DIRECTORIES)

    @property
    def marker_path(self) -> str:
        """The symlink that says that this is a store, and of which version."""
        return f"{self.root}/chrun-store"

    @property
    def images_dir(self) -> str:
        """The OCI image layout."""
        return f"{self.root}/images"

    @property
    def index_path(self) -> str:
        """The image layout's index.json."""
        return f"{self.root}/images/index.json"

    @property
    def blobs_dir(self) -> str:
        """The directory of the image layout's blobs, one directory an algorithm."""
        return f"{self.root}/images/blobs"

    def blob_path(self, digest: Digest) -> str:
        """Give the path of a blob."""
        return f"{self.blobs_dir}/{digest.algorithm}/{digest.hex}"

    @property
    def layers_dir(self) -> str:
        """The directory of unpacked layers."""
        return f"{self.root}/{self.room}"

    def layer_dir(self, diff_id: Digest) -> str:
        """Give the directory of an unpacked layer; its name has no colon, for overlay's options."""
        return f"{self.layers_dir}/{file_name(diff_id)}"

    @property
    def owned_dir(self) -> str:
        """The directory of the rooms whose layers belong to subordinate ids, one a map."""
        return f"{self.root}/owned"

    @property
    def archived_dir(self) -> str:
        """The directory of the rooms for archives, one for each that layers have."""
        return f"{self.root}/{_ARCHIVED}"

    @property
    def archived(self) -> Layout:
        """The same store with the room for archives: what one became is no image's layer."""
        return self.replace(room=f"{_ARCHIVED}/{os.path.basename(self.room)}")

    @property
    def contents_dir(self) -> str:
        """The directory of what is known of the contents of blobs."""
        return f"{self.root}/contents"

    def content_path(self, blob: Digest) -> str:
        """Return the symlink from a blob to the diff ID of what it contains."""
        return f"{self.contents_dir}/{file_name(blob)}"

    @property
    def containers_dir(self) -> str:
        """The directory of containers."""
        return f"{self.root}/containers"

    def container_dir(self, container_id: str) -> str:
        """Give a container's directory."""
        return f"{self.containers_dir}/{container_id}"

    @property
    def names_dir(self) -> str:
        """The directory of containers' names."""
        return f"{self.root}/names"

    def name_path(self, name: str) -> str:
        """Give the symlink from a container's name to its id."""
        return f"{self.names_dir}/{name}"

    @property
    def volumes_dir(self) -> str:
        """The directory of named volumes."""
        return f"{self.root}/volumes"

    def volume_dir(self, name: str) -> str:
        """Give a volume's directory, whose lock stands for it."""
        return f"{self.volumes_dir}/{name}"

    def volume_data_dir(self, name: str) -> str:
        """Give the directory that containers see of a volume."""
        return f"{self.volume_dir(name)}/_data"

    @property
    def archives_dir(self) -> str:
        """The directory of what is known of archives on this machine."""
        return f"{self.root}/archives"

    @property
    def partial_dir(self) -> str:
        """The directory of what is being fetched and unpacked."""
        return f"{self.root}/partial"

    def partial_path(self, digest: Digest) -> str:
        """Give the file that a blob is fetched into."""
        return f"{self.partial_dir}/{file_name(digest)}"

    @property
    def locks_dir(self) -> str:
        """The directory of locks on blobs and layers."""
        return f"{self.root}/locks"

    def blob_lock_path(self, digest: Digest) -> str:
        """Give the file whose lock stands for a blob, and for what becomes one."""
        return f"{self.locks_dir}/{file_name(digest)}"

    def layer_lock_path(self, diff_id: Digest) -> str:
        """Give the file whose lock stands for a layer; an uncompressed one is its blob's twin."""
        return f"{self.locks_dir}/layer-{file_name(diff_id)}"

    @property
    def trash_dir(self) -> str:
        """The directory of what is to be removed."""
        return f"{self.root}/trash"

    @property
    def cache_dir(self) -> str:
        """The directory of what can be worked out again."""
        return f"{self.root}/cache"

    @property
    def host_answer_path(self) -> str:
        """The file that says what this machine was asked when nothing was missing."""
        return f"{self.cache_dir}/host"

    @property
    def subids_answer_path(self) -> str:
        """The file that says which subordinate ids this user may map."""
        return f"{self.cache_dir}/subids"

    def filter_path(self, slot: int) -> str:
        """Give one of the files that compiled system call filters are kept in."""
        return f"{self.cache_dir}/filter-{slot}"

    @property
    def base_dir(self) -> str:
        """An empty directory: where chrun-init mounts what it builds on."""
        return f"{self.root}/base"

    @property
    def mount_points_dir(self) -> str:
        """The layer below every image's: what chrun mounts on need not be made for each run."""
        return f"{self.root}/mount-points"


def file_name(digest: Digest) -> str:
    """Give the file name that stands for a digest."""
    return f"{digest.algorithm}-{digest.hex}"


def absolute(path: str) -> str:
    """Give a path as it is from the root; UsageError where there is no working directory."""
    try:
        return os.path.abspath(path)
    except FileNotFoundError as error:
        raise UsageError(
            f"cannot find {path}: the working directory was removed", hint="cd to another directory"
        ) from error


def default_root() -> str:
    """Give the caller's data directory: CHRUN_HOME, or the system's as root, or the user's own."""
    if home := os.environ.get("CHRUN_HOME"):
        return absolute(home)
    if os.geteuid() == 0:
        return "/var/lib/chrun"
    data = os.environ.get("XDG_DATA_HOME", "")
    if not data.startswith("/"):  # the base directory specification: a relative path is ignored
        data = os.path.expanduser("~/.local/share")
    if not data.startswith("/"):
        raise StoreError(
            "cannot choose a data directory: this user has no home directory",
            hint="name one with --root or CHRUN_HOME",
        )
    return f"{data}/chrun"
