"""Every package is listed, and the wheel works in a clean environment."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HOUSE = ("bitwright", "models", "hls", "rtl_tb", "cost_model")


@pytest.fixture(scope="module")
def checkout(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files that git knows or would add, so that builds leave nothing behind here."""
    copy = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((root / name).read_bytes())
    return copy


def folder_of(package: str, config: dict[str, Any]) -> Path:
    """Where setuptools looks for a package: in the mapped folder of its longest mapped name."""
    mapped: dict[str, str] = config["tool"]["setuptools"]["package-dir"]
    known = max((m for m in mapped if f"{package}.".startswith(f"{m}.")), key=len)
    return Path(mapped[known], *package.removeprefix(known).split(".")[1:])


def unlisted(root: Path, config: dict[str, Any]) -> list[str]:
    """Files that pyproject.toml would leave out of the wheel, or Python folders that it forgets."""
    settings = config["tool"]["setuptools"]
    covered: set[Path] = set()
    for package in settings["packages"]:
        folder = root / folder_of(package, config)
        assert (folder / "__init__.py").is_file(), f"{package} is listed but does not exist"
        covered |= {path for pattern in ("*.py", *settings["package-data"]["*"])
                    for path in folder.glob(pattern)}  # fmt: skip
    files = {path for top in HOUSE for path in (root / top).rglob("*") if path.is_file()}
    return sorted(str(p.relative_to(root)) for p in files - covered if p.suffix != ".pyc")


def load_config(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text())


def test_every_package_and_data_file_is_listed(checkout: Path) -> None:
    assert unlisted(checkout, load_config(checkout)) == []


@pytest.mark.parametrize("name", ["hls/lost/found.py", "rtl_tb/lost.xyz", "rtl_tb/lost/a.sv"])
def test_an_unlisted_file_is_found(root: Path, tmp_path: Path, name: str) -> None:
    config = load_config(root)
    for package in config["tool"]["setuptools"]["packages"]:
        folder = tmp_path / folder_of(package, config)
        folder.mkdir()
        (folder / "__init__.py").touch()
    assert unlisted(tmp_path, config) == []
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert unlisted(tmp_path, config) == [name]


def test_constraints_pin_every_package_that_is_installed(root: Path) -> None:
    """A package that none of the constraints names would be another version tomorrow."""
    pinned = {
        line.split("==")[0]
        for line in (root / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    assert needed(["bitwright[dev]"]) <= pinned | {"bitwright"}


def needed(start: list[str]) -> set[str]:
    """The names of the packages that some requirements bring along here, themselves included."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    seen: set[tuple[str, frozenset[str]]] = set()
    todo = [Requirement(text) for text in start]
    while todo:
        one = todo.pop()
        name = canonicalize_name(one.name)
        asked = name, frozenset(one.extras)
        if asked in seen or name.startswith(("nvidia-", "cuda-")) or name == "triton":
            continue
        seen.add(asked)
        for text in requires(name) or []:
            need = Requirement(text)
            extras = ["", *one.extras]
            if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in extras):
                todo.append(need)
    return {name for name, _ in seen}


SMOKE = """
import importlib, pathlib, pkgutil, sys
import bitwright
home = pathlib.Path(bitwright.__file__).parent
assert home.is_relative_to(sys.prefix), home
for module in pkgutil.walk_packages([str(home)], "bitwright."):
    # These run when they are imported.
    if module.name.split(".")[-1] not in ("__main__", "cocotb_stream", "cocotb_registers"):
        importlib.import_module(module.name)
print(*sorted(name for name in sys.modules if name.split(".")[0] == "bitwright"))
"""


def test_the_wheel_works_in_a_clean_environment(checkout: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", tmp_path, cwd=checkout)
    (wheel,) = tmp_path.glob("bitwright-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    for path in sorted(p for top in HOUSE for p in (checkout / top).rglob("*") if p.is_file()):
        parts = path.relative_to(checkout).parts
        if path.suffix != ".pyc":
            assert "/".join(parts if parts[0] == "bitwright" else ("bitwright", *parts)) in packed
    assert not [name for name in packed if name.startswith(("tests/", "models/", "hls/"))]

    # Clean but for the dependencies, which are lent by a plain path: a .pth file in a lent folder,
    # such as the one of an editable install, is not followed.
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    run(
        sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index",
        "--disable-pip-version-check", wheel,
    )  # fmt: skip
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(site) / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    modules = run(python, "-c", SMOKE, cwd=tmp_path).split()
    listed = load_config(checkout)["tool"]["setuptools"]["packages"]
    assert set(listed) <= set(modules)
    assert "Usage" in run(tmp_path / "venv" / "bin" / "bitwright", "--help", cwd=tmp_path)


def run(*command: object, cwd: Path | None = None) -> str:
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
