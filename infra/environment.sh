# shellcheck shell=bash
# The virtual environment of this clone; sourced by infra/run, infra/test and infra/bench.
#
#   system_packages WHY NAME…   install Debian packages if that is allowed; returns 1 if not
#   environment run|test        bring .venv up to date with pyproject.toml and constraints.txt, then set $python

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
trap 'printf "\nstopped; run it again to carry on where it was\n" >&2; exit 130' INT

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }

system_packages() {
  local why=$1 as=()
  shift
  command -v apt-get >/dev/null || return 1
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || return 1
    as=(sudo -n)
  fi
  say "installing $* ($why)"
  # Update the package lists only if the packages cannot be installed with the present ones.
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@")
  "${as[@]}" "${install[@]}" </dev/null >&2 2>/dev/null && return
  "${as[@]}" apt-get -qq -o DPkg::Lock::Timeout=120 update </dev/null >&2 && "${as[@]}" "${install[@]}" </dev/null >&2
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# Prints the first name that works: plain python3, the choice of the machine's owner, then the newest.
find_python() {
  local name
  for name in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
    if [ -n "$name" ] && command -v "$name" >/dev/null && new_enough "$name"; then
      "$name" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  return 1
}

make_venv() {
  local base minor
  base=$(find_python) || die "needs Python 3.11 or newer, found $(python3 --version 2>&1 || echo none).
  On Debian 12 or newer: apt-get install python3 python3-venv
  A Python of another name: PYTHON=/path/to/python3 $0"
  if ! "$base" -c 'import venv; from ensurepip import bootstrap' 2>/dev/null; then
    minor=$("$base" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    system_packages "Python's venv module" "python$minor-venv" || die "Python's venv module is missing.
  On Debian, as root: apt-get install python$minor-venv"
  fi
  say "making .venv with $("$base" --version)"
  "$base" -m venv --clear .venv
}

pip_install() {
  .venv/bin/python -m pip --disable-pip-version-check install -c constraints.txt "$@" >&2 || die "pip could not install what vitaltwin needs (its messages are above).
  Without a network this works only from packages pip has at hand; behind a proxy set HTTPS_PROXY.
  What is installed already stays; run it again to carry on."
}

environment() {
  local wanted=$1 state have extras=()
  [ "$wanted" = test ] && extras=("[test,bench,distributed]")

  # Two runs at once in one clone wait for each other; the lock ends with the descriptor.
  exec 9<pyproject.toml
  flock -n 9 || { say "waiting for another run that is preparing .venv"; flock 9; }

  state="$(cat pyproject.toml constraints.txt infra/environment.sh | sha256sum | cut -c1-64) $root"
  have=$(cat .venv/prepared 2>/dev/null || true)
  if [ "$have" != "test $state" ] && [ "$have" != "$wanted $state" ]; then
    # A folder that was moved, or whose Python is gone, is created again; a change of versions alone is only installed.
    if ! .venv/bin/python -c '' 2>/dev/null || [ "$(cat .venv/place 2>/dev/null)" != "$root" ]; then
      make_venv
      printf '%s\n' "$root" >.venv/place
    fi
    rm -f .venv/prepared
    say "installing vitaltwin and what it needs into .venv (a minute or two the first time)"
    pip_install hatchling editables
    pip_install --no-build-isolation -e ".${extras[*]-}"
    printf '%s\n' "$wanted $state" >.venv/prepared
  fi
  exec 9<&-

  # shellcheck disable=SC2034 # for the script that sources this
  python="$root/.venv/bin/python"
}
