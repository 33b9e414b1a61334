"""Programs that call a network from C and Cython, built in a new environment as their README says.

    make consumers                                    # or
    python tests/consumers.py path/to/wheel.whl

Copies examples/embedding to a new folder, installs the wheel in a new virtual environment, and runs
the commands of examples/embedding/README.md there in order. Each program compares its results with
Python's. Then the extension in C is compiled with two other headers. One lacks the last function of
the struct, as an older version does, and must run. One has an additional function, as a newer
version does, and must raise an error.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples" / "embedding"


def commands(readme):
    """Return the lines of a README's shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def environment(folder, wheel):
    """Return the environment variables of a new virtual environment with the wheel installed."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    path = f"{folder / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    found = {**os.environ, "PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run(["pip", "install", "--quiet", wheel], env=found, check=True)
    return found


def run(line, folder, env, fails=False):
    """Run a line of shell; return its output."""
    print(f"$ {line}", flush=True)
    done = subprocess.run(line, shell=True, cwd=folder, env=env, capture_output=True, text=True)
    output = (done.stdout + done.stderr).strip()
    print(output, flush=True)
    if (done.returncode != 0) != fails:
        sys.exit(f"exit code {done.returncode}")
    return output


def older(header):
    """Return the header as it would be without the last function of the struct."""
    member = r"    double \(\*evaluate\)\([^;]*;\n(?=\} fastnn_api;)"
    function = r"/\* [^/]*\*/\nstatic inline double fastnn_evaluate\(.*?^\}\n"
    for pattern in (member, function):
        header, n = re.subn(pattern, "", header, flags=re.MULTILINE | re.DOTALL)
        assert n == 1, pattern
    return header


def newer(header):
    """Return the header as it would be with one more function."""
    return header.replace("} fastnn_api;", "    void (*later)(void);\n} fastnn_api;")


def extension_with(name, change, folder, env, fails):
    """Build the extension in C with a changed header, and run its check."""
    include = run("python -c 'import fastnn; print(fastnn.get_include())'", folder, env)
    place = folder / name
    shutil.copytree(EXAMPLES / "c_extension", place / "c_extension")
    shutil.copy(EXAMPLES / "check_extension.py", place)
    (place / "include").mkdir()
    header = change(Path(include, "fastnn.h").read_text())
    (place / "include" / "fastnn.h").write_text(header)
    env = env | {"CFLAGS": f"-I{place / 'include'}"}
    run("pip install --quiet --no-build-isolation --force-reinstall --no-deps ./c_extension",
        place, env)  # fmt: skip
    network = folder / "embedding" / "net.safetensors"
    return run(f"python check_extension.py {network}", place, env, fails)


def main():
    """Run everything; stop at the first thing that fails."""
    wheel = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = environment(folder, wheel)
        shutil.copytree(EXAMPLES, folder / "embedding")
        for line in commands((EXAMPLES / "README.md").read_text()):
            run(line, folder / "embedding", env)
        extension_with("older", older, folder, env, fails=False)
        output = extension_with("newer", newer, folder, env, fails=True)
        assert "install the newer fastnn" in output, output
    print("all consumers agree with Python")


if __name__ == "__main__":
    main()
