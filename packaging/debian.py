"""Root directories with a release of Debian, and commands that run in them.

Needs Linux, root, and Debian's packages debootstrap and mount. Not here: the arm64 release of
tests/arm64.py, which is unpacked without being run.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: Mounted in a namespace of its own, which ends with the command. The folder of certificates is
#: this machine's, since pip takes those that this machine trusts.
ENTER = """
system=$1; shift
mount -t proc proc "$system/proc"
mount --rbind /dev "$system/dev"
for folder in /etc/ssl/certs "$PWD"; do
    [ -d "$folder" ] || continue
    mkdir -p "$system$folder"
    mount --bind "$folder" "$system$folder"
done
exec chroot "$system" env --chdir="$PWD" "$@"
"""


def make(release, folder, packages):
    """Make the root directory of a release with some packages, unless it is there; `folder`."""
    missing = [name for name in ("debootstrap", "unshare") if shutil.which(name) is None]
    if missing:
        sys.exit(f"not found: {', '.join(missing)}; see the head of {__file__}")
    if not folder.exists():
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        options = "--variant=minbase", f"--include={','.join(packages)}"
        with folder.with_suffix(".log").open("w") as log:
            subprocess.run(
                ["debootstrap", *options, release, unfinished], check=True, stdout=log, stderr=log
            )
        unfinished.rename(folder)
    return folder


def inside(folder):
    """Return what to write before a command so that it runs in the root directory `folder`.

    The working directory is there, too, under its own name.
    """
    return ["unshare", "--mount", "sh", "-euc", ENTER, "sh", str(folder)]
