"""Builds infra/Containerfile with buildah, without a container engine, if the base image is available."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, require

pytestmark = pytest.mark.slow

BASE = re.search(r"^FROM (\S+)$", (ROOT / "infra" / "Containerfile").read_text(), re.MULTILINE)[1]  # type: ignore[index]


def buildah(*arguments: str, seconds: float = 3600.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["buildah", *arguments], capture_output=True, text=True, check=False, timeout=seconds, cwd=ROOT
    )


@pytest.fixture
def base() -> None:
    require("buildah", "apt-get install buildah")
    if os.geteuid() != 0:
        pytest.skip("buildah --isolation chroot is tried as root")
    if buildah("inspect", "--type", "image", BASE).returncode and buildah("pull", BASE, seconds=600).returncode:
        pytest.skip(f"no base image here and none to be had: buildah pull {BASE}")


def how_to_fetch() -> list[str]:
    """Options for pip to find packages on this machine; the Containerfile has none."""
    options = [f"--env={name}" for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]
    files = {
        Path("/etc/pip.conf"),
        *(Path(os.environ[name]) for name in ("PIP_CERT", "PIP_CONFIG_FILE") if name in os.environ),
    }
    return options + [f"--volume={file}:{file}:ro" for file in sorted(files) if file.is_file()]


@pytest.mark.usefixtures("base")
def test_the_image_is_built_and_a_change_of_code_installs_nothing_again(tmp_path: Path) -> None:
    for name in (
        ".dockerignore",
        "pyproject.toml",
        "constraints.txt",
        "README.md",
        "LICENSE",
        "infra",
        "twins",
        "streams",
        "api",
    ):
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(place, tmp_path / name)
    image = f"localhost/vitaltwin-test-{os.getpid()}"
    command = [
        "build", "--isolation", "chroot", "--layers", *how_to_fetch(), "-f", str(tmp_path / "infra" / "Containerfile"),
        "-t", image, str(tmp_path),
    ]  # fmt: skip
    try:
        first = buildah(*command)
        assert first.returncode == 0, first.stdout[-2000:] + first.stderr[-2000:]
        (tmp_path / "twins" / "__init__.py").write_text('"""Changed."""\n')
        again = buildah(*command)
        assert again.returncode == 0, again.stderr[-2000:]
        steps = re.split(r"^STEP ", again.stdout, flags=re.MULTILINE)
        (needed,) = [step for step in steps if "-r requirements.txt" in step]
        assert "Using cache" in needed
        container = buildah("from", image).stdout.strip()
        said = buildah("run", "--isolation", "chroot", container, "--", "vitaltwin", "version")
        buildah("rm", container)
        assert said.returncode == 0, said.stderr
    finally:
        buildah("rmi", image)
