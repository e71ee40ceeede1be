"""What a release is made of. The whole of it, on a bare Debian without network: `python -m tests.sweeps.install`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from kit.watch_box import Box
from scanside_appliance.explain import errors_of_the_box
from scanside_runtime.errors import BoxFailed, ModelUnusable

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


def install(release: Path, *arguments: str, user: int = 0) -> str:
    """As root, or as another one, whoever runs the tests."""
    asked = release / "asked" / "id"
    asked.parent.mkdir()
    asked.write_text(f"#!/bin/sh\necho {user}\n")
    asked.chmod(0o755)
    who = {**os.environ, "PATH": f"{asked.parent}:{os.environ['PATH']}"}
    ended = subprocess.run([release / "install.sh", *arguments], capture_output=True, text=True, check=False, env=who)
    assert ended.returncode == 1
    return ended.stderr


def test_who_is_not_root_is_told_so_before_half_a_gigabyte_is_read(release: Path) -> None:
    (release / "VERSION").write_text("2")
    assert install(release, user=1000) == "install.sh: run it as root\n"


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
    functions, begins, _ = (SYSTEMD / "install.sh").read_text().partition("\ncheck_who\n")
    assert begins
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
        python = tmp_path / "opt" / "releases" / number / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')  # it starts in a fifth of the time
        python.chmod(0o755)
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


UNDER_SYSTEMD = """
has_systemd() { :; }
copy_units() { :; }
systemctl() { case $1 in show) echo "$waits" ;; restart) [ "$comes_up" = yes ] ;; esac; }
as_box() { cat "$home/said"; }
comes_up=yes waits=
"""
IS_FULL, IS_GONE, NO_ANSWER = "BOX_DISK_NEARLY_FULL: it is", "BOX_INBOX: it is gone", "BOX_SELFTEST: no answer"


@pytest.mark.parametrize(
    ("before", "now", "waits", "works"),
    [
        (None, None, "", True),
        (None, IS_GONE, "", True),
        (None, IS_FULL, "", True),
        (None, "BOX_DATABASE_BUSY: in use", "", True),
        (None, None, "waiting: BOX_RUNNING", True),
        (None, NO_ANSWER, "", False),
        (IS_GONE, "MODEL_SELFTEST: it differs", "", False),
        (None, None, NO_ANSWER, False),
        (None, IS_FULL, NO_ANSWER, False),
        (None, "it ended with BOX_FAILED: a defect", "", False),
        (None, "it does not run, and 2 job(s) are not finished", "", False),
        (None, IS_GONE, "waiting: BOX_DATABASE_LOST", False),
        ("BOX_DATABASE_LOST: it is gone", None, "waiting: BOX_DATABASE_LOST", True),
        (NO_ANSWER, f"{NO_ANSWER} in 600 s", "", True),
        (None, ..., "", False),
        (..., ..., "", False),
    ],
)
def test_the_installer_leaves_a_release_with_which_nothing_is_measured_and_says_what_else_ails(
    tmp_path: Path, releases: Path, before: object, now: object, waits: str, works: bool
) -> None:
    said = releases.parent / "said"

    def says(trouble: object) -> str:
        return "" if trouble is ... else json.dumps({"trouble": trouble})

    said.write_text(says(before))
    upgraded = f"put_in_force\nprintf %s {shlex.quote(says(now))} >{said}\nwaits={shlex.quote(waits)}\nworks"
    ended = of_install(tmp_path, UNDER_SYSTEMD + upgraded)
    assert (ended.returncode == 0, ended.stderr) == (works, "")
    assert str(now or waits) in ended.stdout or not works or not (now or waits)


OTHER_RELEASES_MAY_DO_BETTER = {
    "BOX_DATABASE", "BOX_DATABASE_LOST", "BOX_DATABASE_MISSING", "BOX_DATABASE_NEWER", "BOX_DATABASE_REPLACED",
    "BOX_DATABASE_RIGHTS", "BOX_DATABASE_WHOLE", "BOX_ROOT", "BOX_ROOT_REPLACED", "BOX_SELFTEST", "BOX_SETTINGS",
}  # fmt: skip
NO_RELEASE_DOES_BETTER = {
    "BOX_ANALYSIS_DIED", "BOX_ARCHIVE_ALTERED", "BOX_ARCHIVE_MISSING", "BOX_DATABASE_BUSY", "BOX_DATABASE_DISK",
    "BOX_DISK", "BOX_DISK_FULL", "BOX_DISK_NEARLY_FULL", "BOX_INBOX", "BOX_INBOX_SILENT", "BOX_NOT_HELD",
    "BOX_NO_SUCH_SERIES", "BOX_NO_SUCH_STUDY", "BOX_OUTPUT", "BOX_REPLACED", "BOX_RUNNING", "BOX_SAME_DEFECT",
    "BOX_STUCK", "BOX_UNREAD", "BOX_WORKER_START",
}  # fmt: skip
"""Or a command alone says it, or the service when it has measured."""


def test_of_each_trouble_of_the_service_it_is_decided_whether_the_installer_goes_back_for_it(tmp_path: Path) -> None:
    of_the_service = (
        "scanside_runtime.errors",
        "scanside_appliance.files",
        "scanside_appliance.jobs",
        "scanside_appliance.service",
    )
    troubles = [kind for kind in errors_of_the_box() if issubclass(kind, BoxFailed | ModelUnusable)]
    of_models = {kind.code for kind in troubles if issubclass(kind, ModelUnusable)}
    known = {kind.code for kind in troubles if kind.__module__.startswith(of_the_service)} | of_models
    assert known == OTHER_RELEASES_MAY_DO_BETTER | NO_RELEASE_DOES_BETTER | of_models
    asked = f'for one in {" ".join(sorted(known))}; do ! is_grave "$one: why" || echo $one; done'
    assert set(of_install(tmp_path, asked).stdout.split()) == OTHER_RELEASES_MAY_DO_BETTER | of_models


def book(path: Path, version: int, studies: int) -> None:
    with closing(sqlite3.connect(path)) as sql:
        sql.executescript(
            f"PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS study (n); PRAGMA user_version = {version};"
        )
        sql.executescript("INSERT INTO study VALUES (1);" * studies)


def studies_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as sql:
        return int(sql.execute("SELECT count(*) FROM study").fetchone()[0])


def upgraded(
    tmp_path: Path,
    releases: Path,
    *,
    to_version: int = 9,
    trouble: str = NO_ANSWER,
    runs: bool = True,
    comes_up: bool = True,
) -> subprocess.CompletedProcess[str]:
    """From 1 to 2, which takes three studies in before it is asked how it is. Before there were two."""
    (releases / "1" / "bin" / "scanside").write_text(f"#!/bin/sh\nexit {int(not runs) * 5}\n")
    (releases / "1" / "bin" / "scanside").chmod(0o755)
    said, data = releases.parent / "said", tmp_path / "data" / "scanside.db"
    book(data, 9, 2)
    said.write_text('{"trouble": null}' if runs else "")
    begun = of_install(tmp_path, UNDER_SYSTEMD + "put_in_force")
    assert begun.returncode == 0, begun.stderr
    book(data, to_version, 3)
    said.write_text(json.dumps({"trouble": trouble}))
    state = f"before={releases}/1 comes_up={'yes' if comes_up else 'no'}\n"
    return of_install(tmp_path, UNDER_SYSTEMD + state + "start_service")


@pytest.mark.parametrize("comes_up", [True, False])
@pytest.mark.parametrize(("to_version", "studies"), [(9, 5), (10, 2)])
def test_the_way_back_keeps_the_book_that_was_worked_with_unless_the_release_before_can_not_read_it(
    tmp_path: Path, releases: Path, to_version: int, studies: int, comes_up: bool
) -> None:
    ended = upgraded(tmp_path, releases, to_version=to_version, comes_up=comes_up)
    assert (ended.returncode, (releases.parent / "current").resolve().name) == (1, "1"), ended.stderr
    assert studies_in(tmp_path / "data" / "scanside.db") == studies
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["scanside.db"]


def test_a_book_that_the_new_release_finds_damaged_keeps_its_copy(tmp_path: Path, releases: Path) -> None:
    upgraded(tmp_path, releases, trouble="BOX_DATABASE: it is damaged")
    assert studies_in(tmp_path / "data" / "scanside.db.before-upgrade") == 2


def test_a_share_that_is_down_just_now_is_no_reason_to_go_back(tmp_path: Path, releases: Path) -> None:
    ended = upgraded(tmp_path, releases, trouble=IS_GONE)
    assert (ended.returncode, (releases.parent / "current").resolve().name) == (0, "2"), ended.stderr
    assert IS_GONE in ended.stdout


def test_a_release_that_no_longer_runs_is_no_way_back(tmp_path: Path, releases: Path) -> None:
    """The system was upgraded, and a newer release is installed: the one before has no Python."""
    ended = upgraded(tmp_path, releases, runs=False)
    assert (ended.returncode, (releases.parent / "current").resolve().name) == (1, "2"), ended.stderr
    assert "the release before does not run on this system" in ended.stderr
    assert upgraded(tmp_path, releases, runs=False, trouble=IS_FULL).returncode == 0


@pytest.mark.parametrize("in_force", ["1", "2"])
def test_a_release_in_force_that_could_not_be_made_anew_is_said_to_be_gone(
    tmp_path: Path, releases: Path, in_force: str
) -> None:
    made = f"""
        ln -sfn {releases / in_force} $home/current
        wanted=none
        python3() {{ mkdir -p "$release/bin"; ln -s /bin/true "$release/bin/python"; }}
        env() {{ :; }}; cp() {{ :; }}; guard_program() {{ :; }}; as_box() {{ return 1; }}
        mkdir -p {tmp_path}/wheels; touch {tmp_path}/wheels/pip-1.whl
        make_release"""
    ended = of_install(tmp_path, made)
    assert (ended.returncode, (releases / "2").exists()) == (1, False), ended.stderr
    assert ("nothing was changed" in ended.stderr, "is gone" in ended.stderr) == (in_force == "1", in_force == "2")


def test_modules_and_templates_are_compiled_when_they_are_installed(tmp_path: Path) -> None:
    """The box's user may not write them: without, each process would compile all that it imports."""
    stand_in, wheels = tmp_path / "python", tmp_path / "wheels"
    stand_in.write_text(f'#!/bin/sh\necho "${{PYTHONDONTWRITEBYTECODE-none}} $*" >>{tmp_path}/asked\n')
    stand_in.chmod(0o755)
    wheels.mkdir()
    (wheels / "pip-1.whl").touch()
    venv = f'python3() {{ mkdir -p "$4/bin" && cp {stand_in} "$4/bin/python"; }}'
    of_install(tmp_path, f"export PYTHONDONTWRITEBYTECODE=1\nhere={tmp_path} wanted=all\n{venv}\nmake_release")
    modules, templates = (tmp_path / "asked").read_text().splitlines()[:2]
    assert modules.startswith("none -m pip") and "--no-compile" not in modules
    assert templates.startswith("none ") and templates.endswith("compile_templates()")


def test_after_an_upgrade_of_the_system_the_program_says_so_and_install_makes_the_release_anew(
    tmp_path: Path, releases: Path
) -> None:
    """Python 3.11 has become 3.13: the packages are there, and none of them is found."""
    release, system = releases / "2", tmp_path / "python3"
    for name in ("11", "13"):
        (tmp_path / f"python3.{name}").write_text('#!/bin/sh\n[ "$2" = pip ] && echo installs || echo compiles\n')
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

    assert installed() == "installs\ncompiles\nproved\nruns\nchanged\n"
    assert installed() == ""
    system.unlink()
    system.symlink_to("python3.13")
    said = subprocess.run([release / "bin" / "scanside", "doctor"], capture_output=True, text=True, check=False)
    assert said.returncode == 5
    assert "run its install.sh once more" in said.stderr
    assert installed() == "installs\ncompiles\nproved\nruns\nchanged\n"


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
