#!/usr/bin/env bash
# What the tests need besides the wheels: Java and Maven (Apache Kafka), Prometheus with promtool, libfaketime (a
# process whose clock is set).
# Installs from the distribution's packages where that is possible, and says what is missing where it is not.
set -euo pipefail

missing=()
command -v java > /dev/null || missing+=(default-jre-headless)
command -v mvn > /dev/null || [ -d .cache/kafka/libs ] || missing+=(maven)
command -v prometheus > /dev/null || missing+=(prometheus)
command -v wrk > /dev/null || missing+=(wrk) # bench.http
compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1" > /dev/null || missing+=(libfaketime)
# What only some suites want is named by them, by its Debian name.
for name in "$@"; do command -v "${name/nodejs/node}" > /dev/null || missing+=("$name"); done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  echo "installing ${missing[*]} ..."
  apt-get update -qq > /dev/null
  # No daemon of a package may start by itself.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" > /dev/null
else
  echo "the tests also need these programs, by their Debian names: ${missing[*]}" >&2
  exit 1
fi
