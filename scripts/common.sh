# Shared by the scripts here; to be sourced. Sets the working folder to the project's root.
# Installs system packages only if they are missing and only with the rights to; otherwise says which command would.

caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
[[ ${CARGO_TARGET_DIR:-/} == /* ]] || export CARGO_TARGET_DIR=$caller/$CARGO_TARGET_DIR

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# What a window needs from the system when it opens; all of it is looked up at run time.
window_packages=(libvulkan1 mesa-vulkan-drivers libegl1 libgl1-mesa-dri libwayland-client0 libx11-6 libx11-xcb1
  libxcursor1 libxi6 libxkbcommon0 libxkbcommon-x11-0 libxrandr2)

# Finds cargo, also where rustup puts it without asking for a new shell.
need_rust() {
  command -v cargo >/dev/null || PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
  command -v cargo >/dev/null ||
    fail "Rust is missing. Install it as https://rustup.rs says (one line, no administrator needed), then run this again."
}

# The packages among the arguments that are not installed, one a line. Nothing where dpkg does not rule.
missing_packages() {
  command -v dpkg-query >/dev/null || return 0
  local package
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || printf '%s\n' "$package"
  done
}

# need_packages PACKAGE…: true if all are there in the end.
need_packages() {
  local missing as_root=()
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    if sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    else
      say "Some system packages are missing. To install them: sudo apt-get install ${missing[*]}"
      return 1
    fi
  fi
  say "Installing ${missing[*]}"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
  "${apt[@]}" update </dev/null >&2 || say "Failed to update the package lists; trying with the ones that are there."
  "${apt[@]}" install --yes --no-install-recommends "${missing[@]}" </dev/null >&2 || {
    say "Failed to install ${missing[*]}"
    return 1
  }
}

# A compiler for the few C files among the dependencies, and a linker.
need_compiler() {
  command -v cc >/dev/null || need_packages gcc libc6-dev ||
    fail "A C compiler is missing, and Rust needs it to link."
}
