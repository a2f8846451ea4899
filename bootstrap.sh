#!/usr/bin/env bash
# Installs what buildbtw needs on this machine, and only what is missing; then
# runs a recipe of the justfile. `./bootstrap.sh --help` says more.
set -euo pipefail

usage() {
  cat <<'END'
usage: ./bootstrap.sh [RECIPE [ARGUMENT...]]

  ./bootstrap.sh          installs what is missing, and no more
  ./bootstrap.sh demo     then shows buildbtw at work: builds, rebuilds, installs
  ./bootstrap.sh test     then runs all tests
  ./bootstrap.sh RECIPE   then runs any recipe of the justfile

It expects Rust's toolchain, git, and apt (Debian) or pacman (Arch Linux). It
asks sudo where it is not root, and says what it installs and why. With nothing
missing it installs nothing and asks nobody.
END
}

case ${1:-} in
  -h | --help)
    usage
    exit 0
    ;;
  -*)
    usage >&2
    exit 2
    ;;
esac

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cd -- "$here"
# Tools of our own, away from the system's and the checkout.
tools=${XDG_DATA_HOME:-$HOME/.local/share}/buildbtw/tools

say() { printf 'bootstrap: %s\n' "$*" >&2; }
fail() {
  say "$@"
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif have sudo; then
    sudo -- "$@"
  else
    fail "there is no sudo; run this as root, then start again: $*"
  fi
}

# --- Rust --------------------------------------------------------------------

if ! have cargo && [[ -x $HOME/.cargo/bin/cargo ]]; then
  PATH=$HOME/.cargo/bin:$PATH
fi
have cargo || fail "Rust's toolchain is not installed; https://rustup.rs says how (on Arch Linux: pacman -S rust)"
wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
# Where rustup manages toolchains, this also fetches the one that rust-toolchain.toml names.
found=$(cargo --version | sed -n 's/^cargo \([0-9.]*\).*/\1/p')
[[ $found ]] || fail "\`cargo --version\` does not work here; see its message above"
if [[ $(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1) != "$wanted" ]]; then
  fail "Rust $wanted or newer is needed, and this is $found; rustup (https://rustup.rs) installs it"
fi

# --- programs that builds and tests run --------------------------------------

packages=()
reasons=()
# need "REASON" PROGRAM DEBIAN-PACKAGES ARCH-PACKAGES: unless the program is there.
need() {
  local reason=$1 program=$2 debian=$3 arch=$4 names

  have "$program" && return
  reasons+=("$program ($reason)")
  if [[ $system == debian ]]; then names=$debian; else names=$arch; fi
  # shellcheck disable=SC2206  # package names, separated by blanks
  packages+=($names)
}

# A compiler without the C library's headers is as good as none.
compiles() { printf '#include <stdio.h>\nint main(void) { return 0; }\n' | cc -x c - -o /dev/null 2>/dev/null; }

# Arch Linux has a package of apt, and Debian one of pacman.
if [[ -e /etc/arch-release ]] && have pacman; then
  system=arch
elif have apt-get; then
  system=debian
else
  system=other
fi

need 'reads the sources' git git git
need 'builds packages' makepkg makepkg pacman
need 'installs packages' pacman pacman-package-manager pacman
need 'adds packages to a repository; tests compare with it' repo-add pacman-package-manager pacman
need 'reads and writes package archives' bsdtar libarchive-tools libarchive
need 'compresses packages' zstd zstd zstd
need 'lets a user make packages of files that belong to root' fakeroot fakeroot fakeroot
need 'checks the signatures of sources' gpg gnupg gnupg
need 'looks into files while they are packaged' file file file
need 'is used by most packages' make make make
need 'strips programs' strip binutils binutils
need 'takes away rights and signals' setpriv util-linux util-linux
case ${1:-} in
  test | ci-dev)
    need 'shows the pages in tests' chromium chromium chromium
    need 'drives the browser in tests' chromedriver chromium-driver chromium
    need 'fetches what looks through the pages in tests' npm 'nodejs npm' npm
    ;;
esac
if ! compiles; then
  reasons+=('cc (compiles the demo packages and some Rust crates)')
  if [[ $system == debian ]]; then packages+=(gcc libc6-dev); else packages+=(gcc); fi
fi

apt_updated=0
install_packages() {
  case $system in
    debian)
      if ((!apt_updated)); then
        as_root apt-get -q -o DPkg::Lock::Timeout=300 update >&2
        apt_updated=1
      fi
      as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 \
        install -y --no-install-recommends "$@" >&2
      ;;
    arch) as_root pacman -S --needed --noconfirm "$@" >&2 ;;
    other) fail "this is neither Debian nor Arch Linux; install by hand: ${reasons[*]}" ;;
  esac
}

if ((${#reasons[@]} > 0)); then
  mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
  say "missing: $(printf '%s, ' "${reasons[@]}" | sed 's/, $//')"
  say "installing: ${packages[*]}"
  install_packages "${packages[@]}"
fi

# --- just, which runs the recipes --------------------------------------------

# `just` may be there and yet not work, as the shim of a version manager.
find_just() {
  local candidate

  for candidate in just "$tools/just/bin/just" "$tools/cargo/bin/just"; do
    if "$candidate" --version >/dev/null 2>&1; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  return 1
}

# From PyPI, as a ready-made program: seconds instead of the minutes of compiling it.
just_from_wheel() {
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    [[ $system == debian ]] || return 1
    say 'installing: python3-venv (fetches just)'
    install_packages python3-venv || return 1
  fi
  python3 -m venv "$tools/just" >&2 &&
    "$tools/just/bin/python" -m pip install --quiet --disable-pip-version-check 'rust-just>=1.40,<2' >&2
}

install_just() {
  say 'missing: just (runs the recipes)'
  if [[ $system == arch ]]; then
    say 'installing: just'
    install_packages just
    return
  fi
  say "installing: just, into $tools"
  mkdir -p "$tools"
  just_from_wheel && return
  rm -rf -- "$tools/just"
  say 'there is no ready-made just for this machine; compiling it, which takes some minutes'
  cargo install just --locked --root "$tools/cargo" >&2
}

just=$(find_just) || {
  install_just
  just=$(find_just) || fail 'just is still not there; install it by hand (https://just.systems)'
}

# --- what the tests load into pages -------------------------------------------

axe=$here/buildbtw-server/tests/pages/axe
case ${1:-} in
  test | ci-dev)
    # Nothing of it runs while it is installed.
    if [[ ! -e $axe/node_modules/axe-core/axe.min.js ]]; then
      say 'fetching: axe-core (looks for what keeps people out of pages)'
      npm ci --prefix "$axe" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
    fi
    ;;
esac

if (($# == 0)); then
  say 'everything is there'
  printf 'Next:\n'
  printf '  %s\n' './bootstrap.sh demo     shows buildbtw at work' './bootstrap.sh test     runs all tests' \
    "$just --list     shows all recipes"
  exit 0
fi
exec "$just" --justfile "$here/justfile" "$@"
