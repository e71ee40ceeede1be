#!/bin/sh
# Removes Scanside from this machine. Run as root:
#
#     /opt/scanside/current/uninstall.sh [--settings] [--data]
#
# Scans, results and settings stay unless told otherwise: --settings removes /etc/scanside, --data removes
# /var/lib/scanside with every scan and result in it, and the users.
set -eu

data=no
settings=no
for option in "$@"; do
    case $option in
        --data) data=yes ;;
        --settings) settings=yes ;;
        *) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
done
[ "$(id -u)" = 0 ] || { echo "uninstall.sh: run it as root" >&2; exit 1; }

if [ -d /run/systemd/system ]; then
    for file in /etc/systemd/system/scanside-* /etc/systemd/system/scanside.target; do
        [ ! -f "$file" ] || systemctl disable --quiet --now "$(basename "$file")" || true
    done
fi
# With the drop-ins, which are folders.
rm -rf /etc/systemd/system/scanside-* /etc/systemd/system/scanside.target*
rm -f /etc/tmpfiles.d/scanside.conf
rm -f /usr/local/bin/scanside /usr/share/bash-completion/completions/scanside
[ ! -d /run/systemd/system ] || systemctl daemon-reload
[ $settings = no ] || rm -rf /etc/scanside
if [ $data = yes ]; then
    rm -rf /var/lib/scanside
    rm -f /etc/sysusers.d/scanside.conf
    userdel scanside 2>/dev/null || true
    groupdel scanside-send 2>/dev/null || true
fi
rm -rf /opt/scanside
[ $data = yes ] || echo "scans and results are still in /var/lib/scanside; --data removes them"
