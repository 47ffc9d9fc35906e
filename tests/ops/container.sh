#!/bin/bash
# A container without an engine, as far as the kernel lets anybody make one: container.sh ROOT USER COMMAND...
#
# A root of its own on which nothing can be written but what is named, another user, no capabilities and no way to gain
# any. Needs `unshare --user --map-root-user --mount` around it. By the environment:
#   BINDS   "FROM:TO[:rw] ...": what of the machine is there, and where; read-only unless said
#   TMPFS   "PATH:OPTIONS ...": where something may be written
#   LINKS   "TARGET:NAME ..."
# COMMAND is started with nothing of this environment but PATH; give it the rest by `env`.
set -eu
root=$1 user=$2
shift 2

mount --make-rprivate /
mount -t tmpfs -o size=1m,mode=755 tmpfs "$root"
mkdir -p "$root/old" "$root/proc"
mount --rbind /proc "$root/proc"
for link in ${LINKS:-}; do
  ln -s "${link%%:*}" "$root${link#*:}"
done
for bind in ${BINDS:-}; do
  IFS=: read -r from to mode <<< "$bind"
  if [ -d "$from" ]; then mkdir -p "$root$to"; else mkdir -p "$(dirname "$root$to")" && touch "$root$to"; fi
  mount --rbind "$from" "$root$to"
  [ "$mode" = rw ] || mount -o remount,bind,ro "$root$to"
done
for place in ${TMPFS:-}; do
  mkdir -p "$root${place%%:*}"
  mount -t tmpfs -o "${place#*:}" tmpfs "$root${place%%:*}"
done
cd "$root"
pivot_root . old
umount -l /old
[ "${WRITABLE:-}" = yes ] || mount -o remount,ro /
exec env -i PATH="${CONTAINER_PATH:-/usr/bin:/bin}" \
  setpriv --no-new-privs unshare --user --map-user="${user%%:*}" --map-group="${user#*:}" -- "$@"
