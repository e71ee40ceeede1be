"""Which software this is, as results say it and bundles ask for it."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from kit.bundle_samples import write_bundle
from scanside_runtime import version
from scanside_runtime.analysis.provenance import Provenance
from scanside_runtime.model.bundle import open_bundle
from scanside_runtime.model.errors import ModelBundleDamaged, ModelNeedsNewer
from scanside_runtime.version import checkout_commit, is_older_than, source_commit

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a version in the place of the installed one; None is a checkout that was not installed."""

    def pretend(text: str | None) -> None:
        def answer(_: str) -> str:
            if text is None:
                raise PackageNotFoundError
            return text

        monkeypatch.setattr(version, "version", answer)

    return pretend


@pytest.mark.parametrize(
    ("here", "minimum", "older"),
    [
        ("0.9.0", "0.10.0", True),  # by numbers, not by letters
        ("0.10.0", "0.9.0", False),
        ("0.2.0", "0.2.0", False),
        ("0.2", "0.2.0", False),
        ("1", "1.0.1", True),
        ("0.2.0rc1", "0.2.0", False),
        ("0.2.0.dev3+g12ab", "0.2.1", True),
        ("2.0", "v1.9.9", False),
        (None, "99.0", False),  # a checkout without metadata runs its own bundle
    ],
)
def test_versions_are_compared_number_by_number(installed: Any, here: str | None, minimum: str, older: bool) -> None:
    installed(here)
    assert is_older_than(minimum) is older


def test_a_bundle_that_needs_newer_software_is_refused_with_a_code_of_its_own(tmp_path: Path, installed: Any) -> None:
    installed("0.9.1")
    with pytest.raises(ModelNeedsNewer, match=r"tiny 1 needs Scanside 0\.10\.0 or newer; this is 0\.9\.1") as caught:
        write_bundle(tmp_path, minimum_software="0.10.0")
    assert (caught.value.code, caught.value.exit_code) == ("MODEL_NEEDS_NEWER", 4)
    installed("0.10.0")
    assert open_bundle(tmp_path).title == "tiny 1"


def test_a_bundle_that_names_no_minimum_is_for_every_version_and_one_that_is_none_is_damage(tmp_path: Path) -> None:
    assert write_bundle(tmp_path / "a").version == "1"
    with pytest.raises(ModelBundleDamaged, match="'soon' is no version"):
        write_bundle(tmp_path / "b", minimum_software="soon")


def test_results_name_the_commit_that_is_checked_out() -> None:
    stated = Provenance(settings_sha256=None).to_document()["commit"]
    if not (REPOSITORY / ".git").exists():
        assert stated == source_commit()
        return
    command = ["git", "-c", f"safe.directory={REPOSITORY}", "-C", REPOSITORY, "rev-parse", "HEAD"]
    git = subprocess.run(command, capture_output=True, text=True, check=True)
    assert stated == git.stdout.strip()


def make_checkout(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_commit_is_read_from_a_branch_a_packed_branch_and_a_detached_head(tmp_path: Path) -> None:
    first, second = "a1" * 20, "b2" * 20
    head = {".git__HEAD": "ref: refs/heads/main\n"}
    packed = {".git__packed-refs": f"# pack-refs with: peeled\n{second} refs/heads/other\n{first} refs/heads/main\n"}
    assert checkout_commit(make_checkout(tmp_path / "a", **head, **packed)) == first
    loose = {".git__refs__heads__main": f"{second}\n"}
    assert checkout_commit(make_checkout(tmp_path / "b", **head, **packed, **loose)) == second
    assert checkout_commit(make_checkout(tmp_path / "c", **{".git__HEAD": f"{first}\n"})) == first


def test_the_commit_of_a_linked_work_tree_is_its_own(tmp_path: Path) -> None:
    own, main = "a1" * 20, "b2" * 20
    shared = {".git__HEAD": "ref: refs/heads/main", ".git__refs__heads__main": main, ".git__refs__heads__room": own}
    linked = {".git__worktrees__room__HEAD": "ref: refs/heads/room\n", ".git__worktrees__room__commondir": "../..\n"}
    make_checkout(tmp_path / "main", **shared, **linked)
    pointer = f"gitdir: {tmp_path / 'main' / '.git' / 'worktrees' / 'room'}\n"
    assert checkout_commit(make_checkout(tmp_path / "room", **{".git": pointer})) == own


@pytest.mark.parametrize("head", ["", "ref: refs/heads/unborn", "ref: ", "nonsense", "\x00", "a1"])
def test_where_no_commit_is_known_there_is_none(tmp_path: Path, head: str) -> None:
    assert checkout_commit(tmp_path) is None
    assert checkout_commit(make_checkout(tmp_path, **{".git__HEAD": head})) is None


def test_what_the_build_wrote_goes_before_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "commit.txt").write_text(f"{'c3' * 20}\n")
    monkeypatch.setattr(version, "COMMIT_FILE", tmp_path / "commit.txt")
    source_commit.cache_clear()
    assert source_commit() == "c3" * 20
    source_commit.cache_clear()
