"""What of an archive of images can be laid aside in a node, and under which digests its layers are known."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.supply.image_archive import saved_layers


def _tar(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _layer(*paths: str) -> bytes:
    return _tar(dict.fromkeys(paths, b""))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _archive(folder: Path, images: dict[str, Sequence[bytes]], *, blobs: bool = False) -> Path:
    """Write an archive as the engine saves it; with `blobs`, as one on containerd's store does."""
    entries, manifest = dict[str, bytes](), []
    for name, layers in images.items():
        config = json.dumps({"rootfs": {"diff_ids": [f"sha256:{_digest(one)}" for one in layers]}}).encode()
        entries[f"{_digest(config)}.json"] = config
        # The bytes do not matter to the digest of a packed layer's name.
        paths = [
            f"blobs/sha256/{i:064}" if blobs else f"{_digest(one)}/layer.tar" for i, one in enumerate(layers)
        ]
        entries.update(zip(paths, layers, strict=True))
        manifest.append({"Config": f"{_digest(config)}.json", "RepoTags": [name], "Layers": paths})
    entries["manifest.json"] = json.dumps(manifest).encode()
    path = folder / "images.tar"
    path.write_bytes(_tar(entries))
    return path


def test_each_layer_is_named_once_by_what_is_in_it(tmp_path: Path) -> None:
    base, one, two = _layer("etc/passwd"), _layer("opt/one"), _layer("opt/two")
    archive = _archive(tmp_path, {"a:1": [base, one], "b:1": [base, two]})
    assert saved_layers(archive) == tuple(f"sha256:{_digest(layer)}" for layer in (base, one, two))


def test_a_layer_that_was_saved_as_it_is_stored_is_named_by_its_file(tmp_path: Path) -> None:
    archive = _archive(tmp_path, {"a:1": [_layer("etc/passwd"), _layer("opt/one")]}, blobs=True)
    assert saved_layers(archive) == (f"sha256:{0:064}", f"sha256:{1:064}")


@pytest.mark.parametrize(
    ("above", "deleted"),
    [
        ("etc/.wh.passwd", "/etc/passwd"),
        ("./etc/.wh.passwd", "/etc/passwd"),
        (".wh.etc", "/etc"),
        ("etc/.wh..wh..opq", "/etc/passwd"),
        ("etc/.wh.never-there", "/etc/never-there"),  # its mark is kept all the same
    ],
)
def test_an_image_whose_layer_deletes_is_refused_by_name(tmp_path: Path, above: str, deleted: str) -> None:
    archive = _archive(
        tmp_path, {"good:1": [_layer("bin/sh")], "bad:1": [_layer("etc/passwd"), _layer(above)]}
    )
    with pytest.raises(
        EnvironmentNotReadyError, match=rf"^bad:1 cannot be preloaded: a layer deletes {deleted} "
    ):
        saved_layers(archive)


def test_a_new_folder_that_hides_nothing_is_no_deletion(tmp_path: Path) -> None:
    archive = _archive(tmp_path, {"a:1": [_layer("etc/passwd"), _layer("etc-new/.wh..wh..opq", "etc-new/x")]})
    assert len(saved_layers(archive)) == 2


def test_what_only_another_image_has_below_is_not_deleted(tmp_path: Path) -> None:
    opaque = _layer("data/.wh..wh..opq")
    archive = _archive(tmp_path, {"a:1": [_layer("data/x")], "b:1": [_layer("etc/passwd"), opaque]})
    assert len(saved_layers(archive)) == 3
