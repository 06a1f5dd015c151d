# Sourced by the other scripts, after `cd` to the project's root. POSIX sh.
#
#   set_up_python local|dev    installs requirements-local.txt or requirements-dev.txt into .local/venv, unless they are
#                              installed, and puts it first on PATH. On failure, prints the reason and exits.

venv=.local/venv
# Written last, so that an interrupted installation starts over from scratch.
stamp=$venv/installed

set_up_python() {
    mkdir -p .local
    (
        # A second caller waits here, then finds everything installed. The kernel releases the lock
        # of a killed process.
        flock 9
        if ! is_installed "$1"; then
            install "$1"
        fi
    ) 9>.local/setup.lock || exit 1
    PATH="$PWD/$venv/bin:$PATH"
    export PATH
}

# Prints the stamp of a complete installation of requirements-$1.txt in this folder. Programs in a
# virtual environment contain its path, so a clone that was moved needs a new one.
stamp_of() {
    echo "$1 $(sha256sum <"requirements-$1.txt" | cut -d ' ' -f 1) $PWD"
}

# `dev` includes all packages of `local`, in the same versions.
is_installed() {
    [ -f "$stamp" ] || return 1
    for installed in "$1" dev; do
        if [ "$(cat "$stamp")" = "$(stamp_of "$installed")" ]; then
            return 0
        fi
    done
    return 1
}

install() {
    find_python
    if [ -f "$stamp" ] && [ "$(cut -d ' ' -f 3- "$stamp")" = "$PWD" ]; then
        echo "Updating the Python packages in $venv to requirements-$1.txt."
        rm -f "$stamp"
    else
        echo "Installing Python packages into $venv, from requirements-$1.txt. This happens once and takes about a minute."
        rm -rf "$venv"
        "$python" -m venv "$venv" || die "$python could not create a virtual environment in $venv."
    fi
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes --requirement "requirements-$1.txt" \
        || die "The Python packages could not be installed. See pip's output above, and check that the package index is reachable."
    stamp_of "$1" >"$stamp.new"
    mv "$stamp.new" "$stamp"
}

# Sets `python` to the first interpreter that is new enough.
find_python() {
    too_old=
    for python in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        command -v "$python" >/dev/null 2>&1 || continue
        if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            too_old="$too_old $python ($("$python" --version 2>&1))"
        elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
            die "$python has no venv module. On Debian and Ubuntu: apt-get install python3-venv"
        else
            return 0
        fi
    done
    if [ -n "$too_old" ]; then
        die "Python 3.11 or newer is needed; found only$too_old."
    fi
    die "Python 3.11 or newer is needed, and none was found. On Debian and Ubuntu: apt-get install python3 python3-venv"
}

die() {
    echo "$1" >&2
    exit 1
}
