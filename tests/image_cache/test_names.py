# SPDX-License-Identifier: Apache-2.0
"""Images by name: the catalog, the distributions' lists and files of checksums, and signatures."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import images
from applevz._images.catalog import ARCHITECTURES, read_catalog, wanted_image
from applevz._images.checksums import Checksum, checksums_in
from image_server import ImageServer, Served

OWN = json.loads(resources.files("applevz._images").joinpath("catalog.json").read_text())


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha512(data: bytes) -> str:
    return hashlib.sha512(data).hexdigest()


@pytest.fixture
def catalog(server: ImageServer, tmp_path: Path) -> Path:
    """The package's own catalog, with this server's folders in place of the distributions'."""
    table = json.loads(json.dumps(OWN))
    for name, entry in table.items():
        entry["folders"] = [f"{server.url}{name}/{{version}}/{{architecture}}/"]
        entry.pop("keyrings", None)
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps(table))
    return path


# ---- The catalog ----


def test_the_package_s_catalog_has_what_the_documentation_promises() -> None:
    table = read_catalog(None)
    assert set(table) == {"debian", "ubuntu", "fedora", "alpine"}
    for name, entry in table.items():
        assert set(entry.architectures) == set(ARCHITECTURES)
        assert entry.user == name
        for version in entry.versions:
            for architecture in ARCHITECTURES:
                wanted = wanted_image(f"{name}:{version}", architecture, None)
                texts = [*entry.folders, *entry.files, entry.checksums, entry.signature or "", *entry.keyrings]
                filled = [wanted.filled(text, "file") for text in texts]
                assert not [text for text in filled if "{" in text or "}" in text]
                # Nobody could change it on its way.
                folders = filled[: len(entry.folders)]
                assert all(folder.startswith("https://") and folder.endswith("/") for folder in folders)


def test_names_have_defaults_and_other_names() -> None:
    assert wanted_image("debian", "x86_64", None).name == "debian:13"
    assert wanted_image("debian:bookworm", "amd64", None).name == "debian:12"
    assert wanted_image("ubuntu:noble", "arm64", None).name == "ubuntu:24.04"
    assert wanted_image("debian", None, None).architecture == platform.machine()
    wanted = wanted_image("debian:13", "arm64", None)
    assert wanted.filled(wanted.distribution.folders[0]).endswith("/trixie/latest/")
    assert wanted.filled(wanted.distribution.files[0]) == "debian-13-generic-arm64.qcow2"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("gentoo", "It has alpine, debian, fedora, ubuntu"),
        ("debian:4", r"it has 13 \(trixie\), 12 \(bookworm\)"),
        ("debian:", "Of debian it has"),
        ("", "source is ''"),
        ("/etc/passwd", "source is '/etc/passwd'"),
    ],
)
def test_a_name_that_is_not_known_is_refused_with_those_that_are(source: str, told: str, cache: Path) -> None:
    with pytest.raises(applevz.InvalidArgumentError, match=told):
        images.pull(source, architecture="x86_64", cache=cache)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"files": None}, "'files' None: it is no list"),
        ({"folders": "https://host/"}, "it is no list"),
        ({"versions": {"1": "x"}}, "it is no list"),
        ({"versions": []}, "it is no object"),
        ({"default": "7"}, "a default that is no version"),
        ({"boot": "bios"}, "neither efi nor kernel"),
        ({"more": 1}, "'more', which means nothing"),
    ],
)
def test_a_catalog_that_is_wrong_says_where(change: dict[str, Any], told: str, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "catalog"
    path.write_text(json.dumps({"debian": {**OWN["debian"], **change}}))
    with pytest.raises(applevz.InvalidArgumentError, match=told):
        images.pull("debian", catalog=path, cache=cache)


@pytest.mark.parametrize("files", [[], ["a", "b"], ["a*"]])
def test_names_that_no_list_has_are_a_mistake_of_the_catalog(files: list[str], tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "catalog"
    path.write_text(json.dumps({"debian": {**OWN["debian"], "files": files, "checksums": "{file}.sha256"}}))
    with pytest.raises(applevz.InvalidArgumentError, match="catalog has .*, and no list to look it up in"):
        images.pull("debian", catalog=path, cache=cache, architecture="x86_64")


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"debian": 3}', b'{"debian": {}}', b"\xff", b"[" * 100_000])
def test_what_is_no_catalog_is_refused(data: bytes, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "catalog"
    path.write_bytes(data)
    with pytest.raises(applevz.InvalidArgumentError, match="which is no catalog"):
        images.pull("debian", catalog=path, cache=cache)
    with pytest.raises(FileNotFoundError):
        images.pull("debian", catalog=tmp_path / "none", cache=cache)


# ---- Each distribution's way ----


def test_debian_and_ubuntu_have_one_name_for_the_newest(
    server: ImageServer, cache: Path, catalog: Path, disk: bytes, qcow2: bytes
) -> None:
    folder = "debian/13/amd64/"
    server.files[f"{folder}SHA512SUMS"] = Served(
        f"{sha512(b'')}  debian-13-generic-amd64.raw\n{sha512(qcow2)}  debian-13-generic-amd64.qcow2\n".encode()
    )
    server.files[f"{folder}debian-13-generic-amd64.qcow2"] = Served(qcow2)
    image = images.pull("debian:trixie", architecture="x86_64", catalog=catalog, cache=cache)
    assert Path(image.path).read_bytes() == disk
    assert (image.name, image.version, image.architecture) == ("debian:13", "13", "x86_64")
    assert (image.user, image.boot, image.checksum) == ("debian", "efi", f"sha512:{sha512(qcow2)}")
    assert (image.signed_by, image.unsigned_reason) == (None, "debian signs no checksums")
    assert images.pull("debian", architecture="amd64", catalog=catalog, cache=cache, offline=True) == image
    with pytest.raises(applevz.ImageNotFoundError, match="offline is True"):
        images.pull("debian", architecture="arm64", catalog=catalog, cache=cache, offline=True)

    folder = "ubuntu/24.04/arm64/"
    name = "ubuntu-24.04-server-cloudimg-arm64.img"
    server.files[f"{folder}SHA256SUMS"] = Served(f"{sha256(qcow2)} *{name}\n".encode())
    server.files[f"{folder}SHA256SUMS.gpg"] = Served(b"a signature")
    server.files[folder + name] = Served(qcow2)
    image = images.pull("ubuntu:24.04", architecture="aarch64", catalog=catalog, cache=cache)
    assert image.user == "ubuntu"
    assert image.unsigned_reason == "no keyring is known"
    with pytest.raises(applevz.InvalidDiskImageError, match="require_signature is True.*no keyring is known"):
        images.pull("ubuntu:24.04", architecture="aarch64", catalog=catalog, cache=cache, require_signature=True)


FEDORA_SUMS = """\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

# Fedora-Cloud-Base-Generic-43-1.6.x86_64.qcow2: 1 bytes
SHA256 (Fedora-Cloud-Base-Generic-43-1.6.x86_64.qcow2) = {}
- -----BEGIN of nothing
-----BEGIN PGP SIGNATURE-----

SHA256 (Fedora-Cloud-Base-Generic-43-9.9.x86_64.qcow2) = {}
-----END PGP SIGNATURE-----
"""


def test_fedora_s_names_stand_in_a_list_and_its_checksums_are_signed_within(
    server: ImageServer, cache: Path, catalog: Path, disk: bytes, qcow2: bytes
) -> None:
    folder = "fedora/43/x86_64/"
    listed = ["../", "Fedora-Cloud-43-1.6-x86_64-CHECKSUM", "Fedora-Cloud-43-1.10-x86_64-CHECKSUM", "/else"]
    server.files[folder] = Served("".join(f'<A HREF="{name}">x</A>\n' for name in listed).encode())
    sums = FEDORA_SUMS.format(sha256(qcow2), "0" * 64).encode()
    server.files[f"{folder}Fedora-Cloud-43-1.10-x86_64-CHECKSUM"] = Served(sums)
    server.files[f"{folder}Fedora-Cloud-Base-Generic-43-1.6.x86_64.qcow2"] = Served(qcow2)
    image = images.pull("fedora:43", architecture="x86_64", catalog=catalog, cache=cache)
    assert Path(image.path).read_bytes() == disk
    # What stands outside of what is signed is not believed, though its numbers are higher.
    assert image.source.endswith("-43-1.6.x86_64.qcow2")


def test_alpine_s_checksums_stand_alone(
    server: ImageServer, cache: Path, catalog: Path, disk: bytes, qcow2: bytes
) -> None:
    folder = "alpine/3.22/aarch64/"
    names = [f"nocloud_alpine-3.22.{number}-aarch64-uefi-cloudinit-r0.qcow2" for number in (9, 10, 2)]
    listed = [*names, *(f"{name}.sha512" for name in names), "nocloud_alpine-3.22.11-x86_64-uefi-cloudinit-r0.qcow2"]
    server.files[folder] = Served("".join(f"<a href='./{name}'>x</a>" for name in listed).encode())
    server.files[f"{folder}{names[1]}.sha512"] = Served(f"{sha512(qcow2)}\n".encode())
    server.files[folder + names[1]] = Served(qcow2)
    image = images.pull("alpine:3.22", architecture="arm64", catalog=catalog, cache=cache)
    assert Path(image.path).read_bytes() == disk
    assert (image.version, image.source) == ("3.22", server.url + folder + names[1])


def test_a_name_with_a_path_in_it_is_none_of_a_list(server: ImageServer, cache: Path, catalog: Path) -> None:
    name = "nocloud_alpine-3.22./../../../etc/-x86_64-uefi-cloudinit-r0.qcow2"
    server.files["alpine/3.22/x86_64/"] = Served(f'<a href="{name}">'.encode())
    with pytest.raises(applevz.DownloadError, match="What is wanted is not in"):
        images.pull("alpine:3.22", architecture="x86_64", catalog=catalog, cache=cache)


def test_a_newer_image_is_asked_for_by_refresh_and_the_old_one_stays_until_it_is_pruned(
    server: ImageServer, cache: Path, catalog: Path, qcow2: bytes
) -> None:
    name = "debian-12-generic-amd64.qcow2"

    def give(data: bytes) -> None:
        server.files["debian/12/amd64/SHA512SUMS"] = Served(f"{sha512(data)}  {name}\n".encode())
        server.files[f"debian/12/amd64/{name}"] = Served(data)

    def pull(**options: Any) -> images.Image:
        return images.pull("debian:12", architecture="x86_64", catalog=catalog, cache=cache, **options)

    give(qcow2)
    first = pull()
    assert pull(refresh=True) == first
    newer = qcow2[:-512] + b"n" * 512
    give(newer)
    assert pull() == first
    second = pull(refresh=True)
    assert second.checksum == f"sha512:{sha512(newer)}"
    assert pull() == second
    assert pull(checksum=str(first.checksum)) == first
    assert images.list(cache=cache) == [second, first]
    # The distribution takes the newer one back, and gives it out again.
    give(qcow2)
    back = pull(refresh=True)
    assert (back.path, back.checksum) == (first.path, first.checksum)
    assert pull() == back
    give(newer)
    second = pull(refresh=True)
    assert images.prune(cache=cache) == [back]
    assert images.list(cache=cache) == [second]
    assert not Path(first.path).exists()
    with pytest.raises(applevz.InvalidDiskImageError, match=f"sha512:{sha512(newer)}"):
        pull(checksum=str(first.checksum))


def test_another_folder_is_asked_if_the_first_has_nothing(
    server: ImageServer, cache: Path, catalog: Path, disk: bytes, qcow2: bytes
) -> None:
    table = json.loads(catalog.read_text())
    table["debian"]["folders"] = [f"{server.url}first/", f"{server.url}second/"]
    catalog.write_text(json.dumps(table))
    name = "debian-13-generic-amd64.qcow2"
    with pytest.raises(applevz.DownloadError) as caught:
        images.pull("debian", architecture="x86_64", catalog=catalog, cache=cache)
    assert "first/SHA512SUMS" in str(caught.value.failure_reason)
    assert "second/SHA512SUMS" in str(caught.value.failure_reason)
    server.files["second/SHA512SUMS"] = Served(f"{sha512(qcow2)}  {name}\n".encode())
    server.files[f"second/{name}"] = Served(qcow2, breaks_after=[300_000], ranges=False)
    server.files[f"first/{name}"] = Served(qcow2)
    # The file may come from either.
    assert images.pull("debian", architecture="x86_64", catalog=catalog, cache=cache).size == len(disk)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "None of its lines"),
        (b"<html>not found</html>\n" * 1000, "None of its lines"),
        (b"\x7fELF\0" + bytes(range(256)), "It is no text"),
        (b"d41d8cd98f00b204e9800998ecf8427e  debian-13-generic-amd64.qcow2\n", "None of its lines"),  # MD5
        (f"{'0' * 128}  other\n".encode(), "What is wanted is not in"),
        (f"{'0' * 128}  ../debian-13-generic-amd64.qcow2\n".encode(), "What is wanted is not in"),
        (b"".join(b"%b  debian-13-generic-amd64.qcow2\n" % (digit * 128) for digit in (b"0", b"1")), "two of"),
        (f"{'0' * 127}  debian-13-generic-amd64.qcow2\n".encode(), "None of its lines"),
        (b"x" * (5 << 20), "more than 4194304 bytes"),
    ],
    ids=["empty", "a page", "binary", "weak", "another", "a path", "two", "short", "huge"],
)
def test_a_file_of_checksums_that_means_harm_makes_no_image(
    data: bytes, told: str, server: ImageServer, cache: Path, catalog: Path
) -> None:
    server.files["debian/13/amd64/SHA512SUMS"] = Served(data)
    with pytest.raises(applevz.Error) as caught:
        images.pull("debian", architecture="x86_64", catalog=catalog, cache=cache)
    assert isinstance(caught.value, applevz.DownloadError | applevz.InvalidDiskImageError)
    assert told in str(caught.value)
    assert images.list(cache=cache) == []


def test_lines_of_checksums_in_all_their_forms() -> None:
    zeros, ones, long = "0" * 64, "1" * 64, "aB" * 64
    text = f"""\
# a comment
{zeros}  two blanks
{zeros} *star.img
{ones}\ttab.img
SHA256 (in brackets) = {ones}
SHA512 (both) = {long}
SHA256 (both) = {ones}
SHA2-256 (unknown) = {ones}
{zeros}  ./dot
MD5 (weak) = {"0" * 32}
{zeros}
"""
    found = checksums_in(text.encode(), "source")
    assert found == {
        "two blanks": Checksum("sha256", zeros),
        "star.img": Checksum("sha256", zeros),
        "tab.img": Checksum("sha256", ones),
        "in brackets": Checksum("sha256", ones),
        "both": Checksum("sha512", long.lower()),
        "dot": Checksum("sha256", zeros),
    }
    assert checksums_in(f"\n{long}\n".encode(), "source") == {"": Checksum("sha512", long.lower())}


# ---- Signatures ----


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Signs by a key of its own, and has the keyring of it."""
    if not shutil.which("gpg") or not shutil.which("gpgv"):
        pytest.skip("signatures are checked where gpg and gpgv are installed")
    home = tmp_path_factory.mktemp("gpg", numbered=True)
    home.chmod(0o700)

    def gpg(*words: str, data: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", "", *words]
        return subprocess.run(command, input=data, check=True, capture_output=True).stdout

    gpg("--pinentry-mode", "loopback", "--quick-generate-key", "tests@example.org", "ed25519", "sign", "never")
    listed = gpg("--with-colons", "--list-keys").decode().splitlines()
    gpg.fingerprint = next(line.split(":")[9] for line in listed if line.startswith("fpr:"))  # type: ignore[attr-defined]
    gpg.binary = home / "keyring.gpg"  # type: ignore[attr-defined]
    gpg.armored = home / "keyring.asc"  # type: ignore[attr-defined]
    (home / "keyring.gpg").write_bytes(gpg("--export"))
    (home / "keyring.asc").write_bytes(gpg("--armor", "--export"))
    yield gpg
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)


@pytest.mark.parametrize("keyring", ["binary", "armored"])
def test_a_signature_beside_the_checksums_is_checked(
    keyring: str, signer: Any, server: ImageServer, cache: Path, catalog: Path, qcow2: bytes
) -> None:
    folder, name = "ubuntu/24.04/amd64/", "ubuntu-24.04-server-cloudimg-amd64.img"
    sums = f"{sha256(qcow2)} *{name}\n".encode()
    server.files[f"{folder}SHA256SUMS"] = Served(sums + b" ")
    server.files[f"{folder}SHA256SUMS.gpg"] = Served(signer("--detach-sign", data=sums))
    server.files[folder + name] = Served(qcow2)

    def pull(**options: Any) -> images.Image:
        ring = getattr(signer, keyring)
        options = {"keyring": ring, "require_signature": True, **options}
        return images.pull("ubuntu", architecture="x86_64", catalog=catalog, cache=cache, **options)

    with pytest.raises(applevz.InvalidDiskImageError, match="gpgv: BAD signature|gpgv:"):
        pull()
    assert images.list(cache=cache) == []
    server.files[f"{folder}SHA256SUMS"] = Served(sums)
    image = pull()
    assert image.signed_by == signer.fingerprint
    assert image.unsigned_reason is None
    assert pull(offline=True) == image


def test_a_signature_within_the_checksums_is_checked_and_only_what_it_signs_is_believed(
    signer: Any, server: ImageServer, cache: Path, catalog: Path, qcow2: bytes
) -> None:
    folder, name = "fedora/43/x86_64/", "Fedora-Cloud-Base-Generic-43-1.6.x86_64.qcow2"
    sums = "Fedora-Cloud-43-1.6-x86_64-CHECKSUM"
    server.files[folder] = Served(f'<a href="{sums}">'.encode())
    signed = signer("--clearsign", data=f"SHA256 ({name}) = {sha256(qcow2)}\n".encode())
    more = f"SHA256 (Fedora-Cloud-Base-Generic-43-9.9.x86_64.qcow2) = {'0' * 64}\n".encode()
    server.files[folder + name] = Served(qcow2)

    def pull(data: bytes, **options: Any) -> images.Image:
        server.files[folder + sums] = Served(data)
        return images.pull(
            "fedora", architecture="x86_64", catalog=catalog, cache=cache, keyring=signer.armored, **options
        )

    with pytest.raises(applevz.InvalidDiskImageError, match="The signature of"):
        pull(signed.replace(sha256(qcow2).encode(), b"1" * 64))
    with pytest.raises(applevz.InvalidDiskImageError, match="The signature of"):
        pull(more)
    begin, end = b"-----BEGIN PGP SIGNED MESSAGE-----\x0c\x0c", b"\x0c-----BEGIN PGP SIGNATURE-----\x0c"
    image = pull(more + begin + more.strip() + end + b"\n" + signed + more)
    assert image.source.endswith(name)
    assert image.signed_by == signer.fingerprint


def test_a_key_that_is_not_in_the_keyring_is_no_signature(
    signer: Any, server: ImageServer, cache: Path, catalog: Path, tmp_path: Path
) -> None:
    sums = f"{'0' * 64} *ubuntu-24.04-server-cloudimg-amd64.img\n".encode()
    server.files["ubuntu/24.04/amd64/SHA256SUMS"] = Served(sums)
    server.files["ubuntu/24.04/amd64/SHA256SUMS.gpg"] = Served(signer("--detach-sign", data=sums))
    for data in (b"", b"garbage", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nx\n-----END PGP PUBLIC KEY BLOCK-----\n"):
        (tmp_path / "keyring").write_bytes(data)
        with pytest.raises(applevz.InvalidDiskImageError, match="The signature of"):
            images.pull(
                "ubuntu", architecture="x86_64", catalog=catalog, cache=cache, keyring=tmp_path / "keyring"
            )


def test_a_keyring_that_is_named_and_missing_is_told(server: ImageServer, cache: Path, catalog: Path) -> None:
    server.files["ubuntu/24.04/amd64/SHA256SUMS"] = Served(b"x")
    server.files["ubuntu/24.04/amd64/SHA256SUMS.gpg"] = Served(b"x")
    with pytest.raises(FileNotFoundError):
        images.pull("ubuntu", architecture="x86_64", catalog=catalog, cache=cache, keyring="/nowhere/keyring")


def test_without_gpgv_it_is_told_that_no_signature_was_checked(
    server: ImageServer, cache: Path, catalog: Path, qcow2: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, name = "ubuntu/24.04/amd64/", "ubuntu-24.04-server-cloudimg-amd64.img"
    server.files[f"{folder}SHA256SUMS"] = Served(f"{sha256(qcow2)} *{name}\n".encode())
    server.files[f"{folder}SHA256SUMS.gpg"] = Served(b"x")
    server.files[folder + name] = Served(qcow2)
    (tmp_path / "keyring").write_bytes(b"x")
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "qemu-img").symlink_to(str(shutil.which("qemu-img")))
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    options: dict[str, Any] = {"architecture": "x86_64", "catalog": catalog, "cache": cache}
    image = images.pull("ubuntu", keyring=tmp_path / "keyring", **options)
    assert (image.signed_by, image.unsigned_reason) == (None, "the program gpgv is not installed")
