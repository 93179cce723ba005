# Sourced by scripts/dev and scripts/test: makes a fresh Debian or Ubuntu machine ready, and does
# next to nothing on one that is. Needs the network only for what is missing.
# shellcheck shell=bash

# What npm builds its native packages with.
readonly BUILD_PACKAGES=(python3 make g++)

# setup PACKAGE...: the Debian packages that the caller needs besides Node.
setup() {
  require_node
  local packages=("$@")
  node_modules_are_current || packages+=("${BUILD_PACKAGES[@]}")
  require_packages "${packages[@]}"
  install_node_modules
  npm run --silent build
}

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

require_node() {
  command -v node >/dev/null || die 'Node.js 20.12 or later is needed, see https://nodejs.org'
  node -e '
    const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit(major > 20 || (major === 20 && minor >= 12) ? 0 : 1);
  ' || die "Node.js 20.12 or later is needed, and $(command -v node) is $(node --version)" \
    '(Debian 12 packages 18); see https://nodejs.org'
  command -v npm >/dev/null || die 'npm is needed; it comes with Node.js from https://nodejs.org'
}

require_packages() {
  local package missing=()
  for package in "$@"; do
    is_there "$package" || missing+=("$package")
  done
  ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

# Asks for what a Debian package brings, not for the package, so that any distribution may bring it.
is_there() {
  case $1 in
    softhsm2) command -v softhsm2-util && softhsm_module ;;
    opensc) command -v pkcs11-tool ;;
    python3-grpcio) /usr/bin/python3 -c 'import grpc' ;;
    python3-protobuf) /usr/bin/python3 -c 'import google.protobuf' ;;
    protobuf-compiler-grpc) command -v protoc && command -v grpc_python_plugin ;;
    libc6-dev) echo '#include <stdio.h>' | gcc -E - ;;
    nghttp2-client) command -v h2load ;;
    nginx-light) command -v nginx || test -x /usr/sbin/nginx ;;
    opencryptoki) command -v pkcsslotd || test -x /usr/sbin/pkcsslotd ;;
    systemd) command -v systemd-analyze ;;
    *) command -v "$1" ;;
  esac >/dev/null 2>&1
}

install_packages() {
  command -v apt-get >/dev/null ||
    die "these are missing: $* (by their names in Debian); install what brings them here, then try again"
  local -a as_root=()
  if ((EUID != 0)); then
    sudo -n true 2>/dev/null ||
      die "these Debian packages are missing; install them with this command, then try again:
  sudo apt-get install $*"
    as_root=(sudo -n)
  fi
  echo "Installing the Debian packages $*"
  local -a install=(
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
    apt-get install --yes --no-install-recommends "$@"
  )
  "${install[@]}" || { "${as_root[@]}" apt-get update && "${install[@]}"; } ||
    die "apt-get could not install $*"
}

# Prints the path of SoftHSM's PKCS#11 module.
softhsm_module() {
  local file
  for file in /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so \
    /usr/lib64/softhsm/libsofthsm2.so /usr/lib64/pkcs11/libsofthsm2.so; do
    if [[ -f $file ]]; then
      echo "$file"
      return
    fi
  done
  return 1
}

# The stamp names what node_modules was installed from and for: native packages are built for one
# version of Node's binary interface.
node_modules_stamp() {
  sha256sum <package-lock.json
  node -p 'process.arch + " " + process.versions.modules'
}

node_modules_are_current() {
  [[ $(cat node_modules/.sigild-stamp 2>/dev/null) == "$(node_modules_stamp)" ]]
}

install_node_modules() {
  (
    flock --timeout 600 9 || die 'another set-up has held this folder for 10 minutes'
    if ! node_modules_are_current; then
      echo 'Installing the npm packages'
      npm_ci
      node_modules_stamp >node_modules/.sigild-stamp
    fi
  ) 9<package-lock.json
}

npm_ci() {
  local prefix
  prefix=$(node -p 'path.dirname(path.dirname(fs.realpathSync(process.execPath)))')
  # node-gyp then builds with the headers that Node brought, and downloads none.
  if [[ -f $prefix/include/node/node_api.h ]]; then
    export npm_config_nodedir=$prefix
  fi
  npm ci --no-audit --no-fund || die 'npm ci failed; its message is above'
  node -e 'require("pkcs11js")' ||
    die 'npm did not build the native part of pkcs11js. Newer versions of npm build only what
package.json lists under "allowScripts", and nothing under ignore-scripts: check both, then run
  npm rebuild pkcs11js'
}
