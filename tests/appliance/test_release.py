"""What a release is made of. The whole of it, on a bare Debian without network: `python -m tests.sweeps.install`."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from kit.watch_box import Box

HOME = Path(__file__).resolve().parents[2]
SYSTEMD = HOME / "systemd"


@pytest.mark.parametrize("script", ["install.sh", "uninstall.sh"])
def test_the_scripts_are_plain_shell_and_may_be_run(script: str) -> None:
    path = SYSTEMD / script
    checked = subprocess.run(["sh", "-n", str(path)], capture_output=True, text=True, check=False)
    assert (checked.returncode, path.stat().st_mode & 0o111) == (0, 0o111), checked.stderr
    shown = subprocess.run([str(path), "--help"], capture_output=True, text=True, check=False)
    assert script in shown.stdout


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """What a copy that was spoilt is refused by, before anything is done."""
    shutil.copy(SYSTEMD / "install.sh", tmp_path)
    (tmp_path / "VERSION").write_text("1")
    sums = subprocess.run(["sha256sum", "VERSION"], cwd=tmp_path, capture_output=True, check=True).stdout
    (tmp_path / "SHA256SUMS").write_bytes(sums)
    return tmp_path


def install(release: Path, *arguments: str) -> str:
    ended = subprocess.run([str(release / "install.sh"), *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    return ended.stderr


def test_a_copy_that_was_spoilt_is_refused_before_anything_is_done(release: Path) -> None:
    (release / "VERSION").write_text("2")
    assert "a file differs from SHA256SUMS" in install(release)


def test_a_folder_that_is_no_release_is_named(release: Path) -> None:
    (release / "SHA256SUMS").unlink()
    assert "this is no release" in install(release)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which checks the signature, is not installed")
def test_a_release_that_another_key_signed_is_refused(release: Path) -> None:
    from scanside_runtime.model.signature import new_key

    (release / "key.pem").write_bytes(new_key()[1])
    (release / "SHA256SUMS.sig").write_bytes(b"0" * 64)
    assert "is not signed by" in install(release, "--key", str(release / "key.pem"))


def test_every_file_that_the_scripts_install_lies_beside_them() -> None:
    text = (SYSTEMD / "install.sh").read_text()
    for name in ("scanside.sysusers.conf", "scanside.tmpfiles.conf", "scanside.toml", "scanside-watch.service"):
        assert (SYSTEMD / name).is_file()
        assert name in text or name.endswith(".service")


def of_install(tmp_path: Path, commands: str) -> subprocess.CompletedProcess[str]:
    """Commands of install.sh, in folders of the test: without root and without systemd."""
    functions = (SYSTEMD / "install.sh").read_text().partition("\ncheck_release\n")[0]
    places = f"home={tmp_path}/opt data={tmp_path}/data release={tmp_path}/opt/releases/2\n"
    alone = "has_systemd() { return 1; }\nchown() { :; }\n"
    script = tmp_path / "part.sh"
    script.write_text(functions + "\n" + places + alone + commands)
    return subprocess.run(["sh", str(script)], capture_output=True, text=True, check=False)


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    """Two of them, the first in force, with a book."""
    for number in ("1", "2"):
        (tmp_path / "opt" / "releases" / number / "bin").mkdir(parents=True)
        (tmp_path / "opt" / "releases" / number / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "opt" / "current").symlink_to(tmp_path / "opt" / "releases" / "1")
    (tmp_path / "data").mkdir()
    sqlite3.connect(tmp_path / "data" / "scanside.db").close()
    (tmp_path / "data" / "scanside.db").write_bytes(b"")
    return tmp_path / "opt" / "releases"


def test_the_copy_of_the_book_is_for_the_box_s_group_at_most(tmp_path: Path, releases: Path) -> None:
    ended = of_install(tmp_path, "put_in_force")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "data" / "scanside.db.before-upgrade").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "opt" / "current").resolve() == releases / "2"


def test_installed_again_the_release_before_stays(tmp_path: Path, releases: Path) -> None:
    for _ in range(2):
        ended = of_install(tmp_path, "put_in_force\ntidy")
        assert ended.returncode == 0, ended.stderr
    assert sorted(path.name for path in releases.iterdir()) == ["1", "2"]


def test_a_release_that_does_not_work_is_noticed_whatever_language_the_box_speaks(
    tmp_path: Path, releases: Path, box: Box
) -> None:
    """The program of a French box: it says what `scanside status` said to the test."""
    program, answer = tmp_path / "opt" / "current" / "bin" / "scanside", tmp_path / "answer"
    program.write_text(f'#!/bin/sh\n[ "$*" = "status --json" ] && cat "{answer}"\n')
    program.chmod(0o755)
    noticed = []
    for _ in ("its root is missing", "it is there, and was never started"):
        answer.write_text(box.scanside("--language", "fr", "status", "--json").output)
        alone = 'as_box() { "$@"; }\nsystemctl() { return 1; }\n'
        noticed.append(of_install(tmp_path, f"{alone}works").returncode)
        box.root.mkdir(exist_ok=True)
    assert noticed == [1, 0]


def test_modules_are_compiled_when_they_are_installed(tmp_path: Path) -> None:
    """The box's user may not write them: without, each process would compile all that it imports."""
    stand_in, wheels = tmp_path / "python", tmp_path / "wheels"
    stand_in.write_text(f'#!/bin/sh\necho "${{PYTHONDONTWRITEBYTECODE-none}} $*" >>{tmp_path}/asked\n')
    stand_in.chmod(0o755)
    wheels.mkdir()
    (wheels / "pip-1.whl").touch()
    venv = f'python3() {{ mkdir -p "$4/bin" && cp {stand_in} "$4/bin/python"; }}'
    of_install(tmp_path, f"export PYTHONDONTWRITEBYTECODE=1\nhere={tmp_path} wanted=all\n{venv}\nmake_release")
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("none -m pip")
    assert "--no-compile" not in asked


def test_after_an_upgrade_of_the_system_the_program_says_so_and_install_makes_the_release_anew(
    tmp_path: Path, releases: Path
) -> None:
    """Python 3.11 has become 3.13: the packages are there, and none of them is found."""
    release, system = releases / "2", tmp_path / "python3"
    for name in ("11", "13"):
        (tmp_path / f"python3.{name}").write_text("#!/bin/sh\necho installs\n")
        (tmp_path / f"python3.{name}").chmod(0o755)
    system.symlink_to("python3.11")
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "pip-1.whl").touch()
    for name in ("docs", "systemd", "README.md", "LICENSE", "uninstall.sh"):
        (tmp_path / name).touch()
    program = '#!/bin/sh\n[ "$1" != selftest ] || echo proved\necho runs\n'
    (tmp_path / "program").write_text(program)
    (tmp_path / "program").chmod(0o755)
    venv = f'mkdir -p "$4/bin" && ln -s {system} "$4/bin/python" && cp {tmp_path}/program "$4/bin/scanside"'
    install = (
        f'here={tmp_path} wanted=all python=3.11\npython3() {{ {venv}; }}\nas_box() {{ "$@"; }}\n'
        "before=$release\nmake_release\n! has_changed || echo changed"
    )

    def installed() -> str:
        ended = of_install(tmp_path, install)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    assert installed() == "installs\nproved\nruns\nchanged\n"
    assert installed() == ""
    system.unlink()
    system.symlink_to("python3.13")
    said = subprocess.run([release / "bin" / "scanside", "doctor"], capture_output=True, text=True, check=False)
    assert said.returncode == 5
    assert "run its install.sh once more" in said.stderr
    assert installed() == "installs\nproved\nruns\nchanged\n"


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap, which makes a root for it, is not installed")
def test_a_box_with_a_drop_in_is_removed_whole(tmp_path: Path) -> None:
    places = ("/etc", "/opt", "/usr/local/bin", "/run")
    held = [word for place in places for word in ("--tmpfs", place)]
    drop_in = "/etc/systemd/system/scanside-watch.service.d"
    made = f"mkdir -p {drop_in} /opt/scanside && touch {drop_in}/send.conf"
    walls = ["bwrap", "--unshare-user", "--uid", "0", "--ro-bind", "/", "/", "--dev", "/dev", *held]
    removed = f"{made} && sh {SYSTEMD}/uninstall.sh && test ! -e {drop_in} && test ! -e /opt/scanside"
    ended = subprocess.run([*walls, "sh", "-c", removed], capture_output=True, text=True, check=False)
    if "bwrap:" in ended.stderr:
        pytest.skip(f"no namespaces here: {ended.stderr.strip()}")
    assert ended.returncode == 0, ended.stderr
