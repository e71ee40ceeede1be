#!/bin/sh
# Installs Scanside, or brings an installation up to this release, without internet. Run as root in the unpacked release:
#
#     ./install.sh [--key PUBLIC.pem] [--no-start]
#
# --key PUBLIC.pem   the release must be signed by this key (openssl checks it)
# --no-start         neither enable nor start the service
#
# Run again it changes nothing. Each release lies in a folder of its own below /opt/scanside/releases, and `current` names
# the one in force, in one step: cut short anywhere, the old one or the new one works, and the same command is given again.
# A release whose self-test fails is not taken, and one whose service does not come up, or can't measure, is left for the
# one before, if that runs.
set -eu
umask 022

home=/opt/scanside
data=/var/lib/scanside
settings=/etc/scanside
unit=scanside-watch.service
enabled="scanside.target $unit scanside-verify.timer"
here=$(cd "$(dirname "$0")" && pwd)
key=
start=yes
made=no
ailed=

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }

while [ $# -gt 0 ]; do
    case $1 in
        --key) [ $# -gt 1 ] || fail "--key wants a file"; key=$(readlink -f "$2"); shift 2 ;;
        --no-start) start=no; shift ;;
        -h|--help) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) fail "unknown option $1; see --help" ;;
    esac
done

has_systemd() { [ -d /run/systemd/system ]; }

# What is known at once, before half a gigabyte is read.
check_who() {
    [ -f "$here/SHA256SUMS" ] || fail "this is no release: SHA256SUMS is missing. Build one with make release."
    [ "$(id -u)" = 0 ] || fail "run it as root"
}

check_release() {
    cd "$here"
    if [ -n "$key" ]; then
        command -v openssl >/dev/null || fail "--key wants openssl, which is not installed"
        openssl pkeyutl -verify -pubin -inkey "$key" -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig >/dev/null 2>&1 ||
            fail "SHA256SUMS is not signed by $key: do not install this copy"
    fi
    sha256sum --quiet --check SHA256SUMS >/dev/null 2>&1 || fail "a file differs from SHA256SUMS: copy the release again"
}

check_machine() {
    [ "$(uname -m)" = x86_64 ] || fail "this release is for x86-64, the machine is $(uname -m)"
    command -v python3 >/dev/null || fail "there is no python3; Debian 12 and 13 and Ubuntu 24.04 have it on their disc"
    python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    wanted="$here/requirements-$python.txt"
    [ -f "$wanted" ] || fail "this release has no packages for Python $python, but for$(pythons). Is there a newer release?"
    # shellcheck disable=SC2046
    set -- $(df -Pk "$(dirname $home)" | tail -n 1)
    [ "$4" -gt 2000000 ] || [ -d "$release" ] || fail "2 GB are needed below $(dirname $home), there are $(($4 / 1000)) MB"
}

pythons() { for one in "$here"/requirements-*.txt; do basename "$one" .txt | sed 's/requirements-/ /' | tr -d '\n'; done; }

make_users() {
    install -d -m 755 /etc/sysusers.d /etc/tmpfiles.d
    keep_file "$here/systemd/scanside.sysusers.conf" /etc/sysusers.d/scanside.conf
    keep_file "$here/systemd/scanside.tmpfiles.conf" /etc/tmpfiles.d/scanside.conf
    if command -v systemd-sysusers >/dev/null; then
        systemd-sysusers /etc/sysusers.d/scanside.conf
    else
        getent group scanside-send >/dev/null || groupadd --system scanside-send
        id scanside >/dev/null 2>&1 || useradd --system --user-group --groups scanside-send --home-dir $data --shell /usr/sbin/nologin scanside
    fi
}

make_folders() {
    if command -v systemd-tmpfiles >/dev/null; then
        systemd-tmpfiles --create /etc/tmpfiles.d/scanside.conf
    else
        install -d -m 755 -o scanside -g scanside $data
        install -d -m 2770 -o scanside -g scanside-send $data/inbox
        for folder in work archive quarantine results bundles; do
            install -d -m 750 -o scanside -g scanside $data/$folder
        done
        install -d -m 755 $settings
    fi
    install -d -m 755 $settings/keys.d
    # A person's settings are never touched: the example stands beside them.
    keep_file "$here/systemd/scanside.toml" $settings/scanside.toml.example
}

# In one step, and only where something differs.
keep_file() {
    cmp -s "$1" "$2" && return
    cp "$1" "$2.new"
    chmod 644 "$2.new"
    mv -f "$2.new" "$2"
}

runs() { "$1/bin/scanside" --version >/dev/null 2>&1; }

give_release_up() {
    rm -rf "$release"
    [ "$(readlink "$home/current" || true)" = "$release" ] || fail "the self-test failed: nothing was changed"
    fail "the self-test failed: the release in force did not run, could not be made anew and is gone; data and settings are as they were"
}

# One that was whole and no longer runs is made anew: after an upgrade of the system python3 is another one.
make_release() {
    [ -f "$release/whole" ] && runs "$release" && return
    made=yes
    rm -rf "$release"
    install -d -m 755 "$home" "$home/releases"
    python3 -m venv --without-pip "$release"
    # pip comes with the release and runs from its wheel: a bare system has none.
    pip=$(ls "$here"/wheels/pip-*.whl)
    # Compiled here: the box's user may write none of it, and would compile each module in each process.
    env -u PYTHONDONTWRITEBYTECODE PYTHONPATH="$pip" "$release/bin/python" -m pip --disable-pip-version-check --no-cache-dir \
        --quiet install --no-index --find-links "$here/wheels" --require-hashes --compile --requirement "$wanted"
    env -u PYTHONDONTWRITEBYTECODE "$release/bin/python" -P -c \
        "from scanside_appliance.page.templates import compile_templates; compile_templates()"
    cp -R "$here/docs" "$here/systemd" "$here/README.md" "$here/LICENSE" "$here/uninstall.sh" "$release/"
    guard_program
    as_box "$release/bin/scanside" selftest || give_release_up
    sync -f "$release"
    : >"$release/whole"
    sync -f "$release/whole"
}

# The packages are for one Python: with another one the program, and so the service's log, says what to do.
guard_program() {
    install -d -m 755 "$release/libexec"
    mv "$release/bin/scanside" "$release/libexec/scanside"
    cat >"$release/bin/scanside" <<END
#!/bin/sh
if [ "\$(readlink -f "$release/bin/python")" = "$(readlink -f "$release/bin/python")" ]; then
    exec "$release/libexec/scanside" "\$@"
fi
echo "scanside: it was installed for Python $python, and this system has another one now. Unpack the release and run" \\
    "its install.sh once more; scans, results and settings stay." >&2
exit 5
END
    chmod 755 "$release/bin/scanside"
}

# As the user who will run it: nothing that only root may read passes.
as_box() {
    if command -v setpriv >/dev/null; then
        setpriv --reuid=scanside --regid=scanside --init-groups "$@"
    else
        su -s /bin/sh scanside -c "$*"
    fi
}

# The link is made beside its place and renamed over it: there is always one.
name_current() {
    ln -sfn "$1" "$home/current.new"
    mv -fT "$home/current.new" "$home/current"
}

put_in_force() {
    before=$(readlink "$home/current" 2>/dev/null || true)
    [ "$before" != "$release" ] || return 0
    [ -z "$before" ] || ailed=$(trouble)
    if [ -n "$before" ] && [ -f $data/scanside.db ]; then
        ! has_systemd || systemctl stop $unit 2>/dev/null || true
        # The way back: an older Scanside refuses a newer one's book.
        (umask 027; "$release/bin/python" -c 'import sqlite3, sys; a, b = map(sqlite3.connect, sys.argv[1:]); a.backup(b)' \
            $data/scanside.db $data/scanside.db.before-upgrade) || {
            ! has_systemd || systemctl start $unit || true
            fail "the book can't be copied, is the disk full? The release before is in force"
        }
        chmod 640 $data/scanside.db.before-upgrade
        chown scanside:scanside $data/scanside.db.before-upgrade
    fi
    name_current "$release"
}

# Those of a release: the one in force has its own.
copy_units() {
    for file in "$1"/systemd/*.service "$1"/systemd/*.timer "$1"/systemd/*.target; do
        [ ! -f "$file" ] || keep_file "$file" "/etc/systemd/system/$(basename "$file")"
    done
}

install_units() {
    install -d -m 755 /etc/systemd/system /usr/local/bin /usr/share/bash-completion/completions
    copy_units "$here"
    ln -sfn $home/current/bin/scanside /usr/local/bin/scanside.new
    mv -fT /usr/local/bin/scanside.new /usr/local/bin/scanside
    "$release/bin/scanside" --show-completion bash >/usr/share/bash-completion/completions/scanside 2>/dev/null || true
    has_systemd && systemctl daemon-reload || true
}

# What keeps the box from its work, in words; nothing where nothing does.
trouble() {
    as_box $home/current/bin/scanside status --json 2>/dev/null |
        "$release/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["trouble"] or "")' 2>/dev/null ||
        echo "it does not say how it is"
}

# Whether nothing is measured with it, and another release may do better. What ails inbox or disk, or holds the book, ails
# any release; this one goes on by itself.
is_grave() {
    case ${1#waiting: } in
        BOX_DATABASE_BUSY*|BOX_DATABASE_DISK*) return 1 ;;
        MODEL_*|BOX_SELFTEST*|BOX_DATABASE*|BOX_SETTINGS*|BOX_ROOT*|"it ended with "*|"it does not "*) return 0 ;;
        *) return 1 ;;
    esac
}

# A service comes up all the same whose networks fail the self-test, or whose book, settings, inbox or disk can't be used,
# and waits. What ailed the release before as well is no reason to go back to it.
works() {
    now=$(trouble)
    # What it says to systemd itself counts, too: a status may be one of before where the disk takes no other.
    said=$(systemctl show --property StatusText --value $unit 2>/dev/null) || said=
    if ! is_grave "$now" && is_grave "$said"; then now=$said; fi
    case $said in waiting:*) is_grave "$now" || now=$said ;; esac
    [ -n "$now" ] || return 0
    is_grave "$now" || { say "this release stays; see to this: $now"; return 0; }
    case $now in "it does not "*) return 1 ;; esac
    code=${now#waiting: }
    [ "${code%%:*}" = "${ailed%%:*}" ] || return 1
    say "as before this release: $now"
}

# Whether what runs is not what lies there now.
has_changed() { [ "${before:-}" != "$release" ] || [ $made = yes ]; }

start_service() {
    has_systemd && [ $start = yes ] || return 0
    # shellcheck disable=SC2086
    systemctl enable --quiet $enabled
    ! has_changed || systemctl try-restart scanside-receive.service scanside-serve.service || true
    ! has_changed && systemctl is-active --quiet $unit && systemctl start scanside.target && return
    systemctl reset-failed $unit 2>/dev/null || true
    systemctl restart $unit && works && systemctl start scanside.target && return
    say "the service of this release does not work: ${now:-$(systemctl status --no-pager --lines 3 $unit 2>&1 | tail -n 3)}"
    [ -n "${before:-}" ] && [ "$before" != "$release" ] || fail "journalctl -u $unit says why"
    runs "$before" || fail "the release before does not run on this system: this one stays. journalctl -u $unit says why"
    go_back
}

go_back() {
    systemctl stop $unit 2>/dev/null || true
    choose_book
    name_current "$before"
    copy_units "$before"
    systemctl daemon-reload
    systemctl reset-failed $unit 2>/dev/null || true
    systemctl restart $unit || true
    fail "the release before is in force again; scans and results stay"
}

# The book of before only where the release that is left made another version of it, which an older one refuses. Else the
# book stays, for it alone has what was taken in and measured since; and the copy as well where the book may be damaged.
choose_book() {
    copy=$data/scanside.db.before-upgrade
    [ -f "$copy" ] || return 0
    if [ -f $data/scanside.db ] && have_one_version $data/scanside.db "$copy"; then
        case ${now:-} in *BOX_DATABASE*) ;; *) rm -f "$copy" ;; esac
        return 0
    fi
    # First what SQLite keeps beside the book: replayed onto another one it would damage it.
    rm -f $data/scanside.db-wal $data/scanside.db-shm
    mv -f "$copy" $data/scanside.db
}

have_one_version() {
    "$release/bin/python" -c 'import sqlite3, sys
one, other = (sqlite3.connect(book).execute("PRAGMA user_version").fetchone() for book in sys.argv[1:])
sys.exit(one != other)' "$@" 2>/dev/null
}

# Two stay: the one in force, and the one before it, which is not known when the same release is installed again.
tidy() {
    [ "${before:-}" != "$release" ] || return 0
    for folder in "$home"/releases/*; do
        case $folder in
            "$release"|"${before:-}") ;;
            *) rm -rf "$folder" ;;
        esac
    done
}

check_who
check_release
release="$home/releases/$(cat "$here/VERSION")"
check_machine
make_users
make_folders
make_release
put_in_force
install_units
start_service
tidy
say "Scanside $(cat "$here/VERSION") is installed."
as_box $home/current/bin/scanside doctor || fail "something is bad: see above"
