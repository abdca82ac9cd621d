"""Archives of root file systems as layers."""

from __future__ import annotations

import gzip
import os
import threading

import pytest

from chrun.engine.archives import open_archive
from chrun.engine.owners import unpack_here
from chrun.engine.prune import prune
from chrun.errors import ContentError, UnsafeLayerError, UsageError
from chrun.store.containers import create_container
from chrun.store.layers import adopt_layer, has_layer, rooms_of
from chrun.store.store import open_store
from tests.support.images import digest_of, directory, tar
from tests.support.pulls import scratch_of


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"), create=True)


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "rootfs.tar.gz"
    path.write_bytes(gzip.compress(tar({"etc/motd": "hi\n", ".wh.kept": "a name like others"})))
    return path


def test_an_archive_is_unpacked_once(store, archive):
    first = open_archive(store, str(archive))
    assert first.image_id == str(digest_of(gzip.decompress(archive.read_bytes())))
    assert sorted(os.listdir(first.directory)) == [".wh.kept", "etc"]
    before = os.stat(first.directory).st_ctime_ns
    assert open_archive(store, str(archive)) == first
    assert os.stat(first.directory).st_ctime_ns == before
    assert scratch_of(store.layout) == []


def test_a_changed_archive_is_another_layer(store, archive):
    first = open_archive(store, str(archive))
    archive.write_bytes(tar({"etc/motd": "hello\n"}))
    second = open_archive(store, str(archive))
    assert first.image_id != second.image_id


def test_a_changed_archive_is_another_layer_whatever_time_it_was_given(store, tmp_path):
    path, found = tmp_path / "rootfs.tar", []
    for text in ("one", "two"):
        path.write_bytes(tar({"etc/motd": text}))
        os.utime(path, (1, 1))
        found.append(open_archive(store, str(path)).image_id)
    assert found[0] != found[1]


def test_an_archive_is_not_the_layer_of_the_same_bytes(store, tmp_path):
    tree, owned = {"etc": directory(), "etc/.wh.motd": ""}, store.with_room("owned/1x1,1x1")
    path, packed = tmp_path / "rootfs.tar", tar(tree)
    path.write_bytes(packed)
    for each in (store, owned):
        found = open_archive(each, str(path))
        assert found.image_id == str(digest_of(packed))
        assert found.directory != each.layout.layer_dir(digest_of(packed))
        assert not has_layer(each.layout, digest_of(packed))
        layer_dir = f"{store.layout.partial_dir}/new.tree"
        os.mkdir(layer_dir)
        adopt_layer(each.layout, digest_of(packed), layer_dir)
        assert open_archive(each, str(path)) == found
        assert os.listdir(f"{found.directory}/etc") == [".wh.motd"]
        assert os.listdir(each.layout.layer_dir(digest_of(packed))) == []
    assert len(rooms_of(store.layout)) == 4
    assert len(prune(store).layers) == 4


def test_an_archive_that_changes_while_it_is_read_is_not_kept(store, archive):
    def unpack(what, chunks, directory, media_type):
        return unpack_here(what, changing(chunks), directory, media_type)

    def changing(chunks):
        for chunk in chunks:
            os.utime(archive, (1, 1))
            yield chunk

    with pytest.raises(ContentError, match="it changed meanwhile"):
        open_archive(store, str(archive), unpack)
    assert os.listdir(store.layout.archives_dir) == scratch_of(store.layout) == []
    open_archive(store, str(archive))


def test_an_archive_that_is_replaced_before_it_is_read_is_not_kept(store, archive, tmp_path):
    (tmp_path / "other").write_bytes(tar({"other": "1"}))

    def unpack(what, chunks, directory, media_type):
        os.rename(tmp_path / "other", archive)
        return unpack_here(what, chunks, directory, media_type)

    with pytest.raises(ContentError, match="it changed meanwhile"):
        open_archive(store, str(archive), unpack)
    assert os.listdir(store.layout.archives_dir) == []
    assert os.listdir(open_archive(store, str(archive)).directory) == ["other"]


def test_of_many_at_once_one_unpacks(store, archive):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(open_archive(store, str(archive))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert scratch_of(store.layout) == []


def test_pruning_removes_it_but_not_under_a_container(store, archive):
    layer = open_archive(store, str(archive))
    container = create_container(store.layout, layer.image_id)
    prune(store)
    assert os.path.isdir(layer.directory)
    os.close(container.lock_fd)
    prune(store)
    assert not os.path.exists(layer.directory)
    assert open_archive(store, str(archive)) == layer


def test_what_is_no_archive_leaves_nothing(store, tmp_path):
    for name, content in (("text", b"hello"), ("cut", gzip.compress(tar({"a": "1"}))[:40])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ContentError, match="cannot unpack"):
            open_archive(store, str(tmp_path / name))
    (tmp_path / "evil").write_bytes(tar({"../../flag": "x"}))
    with pytest.raises(UnsafeLayerError):
        open_archive(store, str(tmp_path / "evil"))
    assert scratch_of(store.layout) == os.listdir(store.layout.layers_dir) == []
    assert not (tmp_path / "flag").exists()


def test_what_is_no_file_is_a_usage_error(store, tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        open_archive(store, str(tmp_path / "missing"))
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match="neither a directory nor an archive"):
        open_archive(store, str(tmp_path / "fifo"))
