"""Builds the compiled kernels of ``skflow/_nn/native`` for the wheel, if that is possible.

``pip install`` runs this through hatchling. ``python hatch_build.py`` builds the library in place.
No compiler, no library: the package then works with PyTorch alone, and one line says so.
"""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # called as a script
    BuildHookInterface = object

FOLDER = Path(__file__).parent / "skflow" / "_nn" / "native"
#: Nothing here may change results by more than rounding, or hide that a number is NaN.
FLAGS = (
    "-std=c++17 -O3 -fPIC -fno-exceptions -fno-rtti -fno-math-errno -fno-trapping-math "
    "-fvisibility=hidden -ffp-contract=fast -Wno-psabi"
).split()
#: The instruction sets of an architecture; one is chosen where the library is loaded.
SETS = {
    "x86_64": {
        "base": [],
        "avx2": ["-mavx2", "-mfma"],
        "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma"],
    }
}
SETS["amd64"] = SETS["x86_64"]


def compilers():
    """Commands to try, the user's own alone where ``CXX`` is set."""
    if os.environ.get("CXX"):
        return [shlex.split(os.environ["CXX"])]
    return [[name] for name in ("c++", "g++", "clang++") if shutil.which(name)]


def compile_with(compiler, target):
    """Compile the source for every instruction set, and link all into one library."""
    with tempfile.TemporaryDirectory() as work:
        running, objects = [], []
        for name, flags in SETS.get(platform.machine().lower(), {"base": []}).items():
            objects.append(str(Path(work) / f"{name}.o"))
            own = [
                *flags,
                f"-DSKFLOW_SET={name}",
                *(["-DSKFLOW_CHOOSES"] if name == "base" else []),
            ]
            command = [
                *compiler,
                *FLAGS,
                *own,
                "-c",
                str(FOLDER / "kernels.cpp"),
                "-o",
                objects[-1],
            ]
            running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        errors = [process.communicate()[1] for process in running]
        for process, error in zip(running, errors):
            if process.returncode:
                raise RuntimeError(error.strip().splitlines()[0] if error.strip() else "it failed")
        linked = Path(work) / target.name
        link = [*compiler, "-shared", *objects, "-o", str(linked), "-lm"]
        subprocess.run(link, check=True, capture_output=True, text=True)
        # under its name there is never half a library
        part = target.with_suffix(".part")
        shutil.copyfile(linked, part)
        part.replace(target)


def library_path():
    """The place of the library of the present sources, as in ``skflow/_nn/kernels.py``."""
    digest = hashlib.sha256()
    for source in sorted(FOLDER.glob("*.[ch]*")):
        digest.update(source.read_bytes())
    return FOLDER / f"_kernels_{digest.hexdigest()[:16]}.so"


def build():
    """The library of the present sources, or None after a line that says why there is none."""
    target = library_path()
    if target.exists():
        return target
    reason = "no C++ compiler was found"
    for compiler in compilers():
        try:
            compile_with(compiler, target)
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            reason = f"{shlex.join(compiler)}: {error}"
            continue
        for old in FOLDER.glob("_kernels_*"):
            if old != target:
                old.unlink()
        return target
    print(
        f"skflow is installed without its compiled kernels, and slower: {reason}", file=sys.stderr
    )
    return None


class KernelsHook(BuildHookInterface):
    """Takes the library into wheels and editable installs, and tags them for their platform."""

    PLUGIN_NAME = "custom"

    def initialize(self, version, build_data):
        if self.target_name != "wheel":
            return
        library = build()
        if library is None:
            return
        from packaging.tags import sys_tags

        # the library needs no Python, so one wheel is for all of a platform
        many = ("manylinux", "musllinux")
        tag = next(tag for tag in sys_tags() if not tag.platform.startswith(many))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{tag.platform}"
        build_data["artifacts"].append(f"/skflow/_nn/native/{library.name}")


if __name__ == "__main__":
    sys.exit(build() is None)
