"""Root directories with a release of Debian, and commands to run in them.

Requires Linux, root, and Debian's packages debootstrap and mount. Not here: the arm64 release of
tests/arm64.py, which is unpacked without being run.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: The mounts are in a namespace that ends with the command. The folder of certificates is this
#: machine's, so that pip trusts the same certificates as this machine.
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
    """Create the root directory of a release with some packages if it is missing; return it."""
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
    """Return the prefix of a command that makes it run in the root directory `folder`.

    The working directory is available there under the same path.
    """
    return ["unshare", "--mount", "sh", "-euc", ENTER, "sh", str(folder)]
