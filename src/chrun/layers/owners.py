"""Whose the files of an unpacked layer are."""

from __future__ import annotations

from enum import Enum


class Owners(Enum):
    """Who owns what is unpacked, and with that what an unpacked layer can hold.

    IMAGE keeps the image's owners, devices and file capabilities, as only root can.

    MAPPED keeps owners and file capabilities, inside a user namespace with many ids. The layer's
    top directory stays that namespace's root's, for outside chrun must be able to move a layer and
    to look into it.

    CALLER gives everything to whoever unpacks. Modes are kept as they are but for two things: the
    owner may read every file and directory, and write to the layer's top directory, because chrun
    must be able to copy, move and remove a layer. Of extended attributes only `user.*` are kept.

    But for IMAGE, a device is an empty file, so that hard links to it work.
    """

    IMAGE = "image"
    MAPPED = "mapped"
    CALLER = "caller"
