# dependencies.sh: sourced by quickstart and test/run. Installs through apt what is missing.

# What the build, the run and the first job need (Debian 12 names).
QD_RUN_PACKAGES="gcc libc6-dev make cmake ninja-build pkg-config openmpi-bin libopenmpi-dev libhwloc-dev
  protobuf-c-compiler libprotobuf-c-dev libdnnl-dev libsqlite3-dev libyaml-dev libjansson-dev
  libxxhash-dev librandom123-dev zlib1g-dev dataset-fashion-mnist"
# What the tests need beside that.
QD_TEST_PACKAGES="check bats clang-format procps jq iproute2"

# qd_install PACKAGE...: says what is missing and installs it, as root or by sudo.
qd_install() {
  local package missing=() sudo=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || {
    echo "quadrille: missing: ${missing[*]} (names of Debian packages); install them by hand: there is no apt-get here" >&2
    return 69
  }
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
      echo "quadrille: missing: ${missing[*]}; run as root or install sudo: apt-get install ${missing[*]}" >&2
      return 77
    }
    sudo=(sudo)
  fi
  echo "quadrille: installing through apt: ${missing[*]}" >&2
  "${sudo[@]}" apt-get update -qq >&2
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
