# Sourced by scripts/demo, scripts/dev and scripts/test, after `cd` to the project's root. POSIX sh.
#
#   set_up_python local|dev    makes .local/venv what requirements-local.txt or requirements-dev.txt says, and puts it
#                              first on PATH. Does nothing when it is so already. Exits with a sentence if it cannot.

venv=.local/venv
# Written last, so an installation that was killed half way is begun again from nothing.
stamp=$venv/installed

set_up_python() {
    mkdir -p .local
    (
        # Two at once: the second waits here, and then finds everything done. The kernel frees the lock of a killed one.
        flock 9
        if ! is_installed "$1"; then
            install "$1"
        fi
    ) 9>.local/setup.lock || exit 1
    PATH="$PWD/$venv/bin:$PATH"
    export PATH
}

# What the stamp says when all of requirements-$1.txt is installed, here. Programs in a virtual environment know its
# path, so a clone that was moved needs a new one.
stamp_of() {
    echo "$1 $(sha256sum <"requirements-$1.txt" | cut -d ' ' -f 1) $PWD"
}

# The packages of `local` are among those of `dev`, in the same versions.
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
        echo "Bringing the Python packages in $venv up to date with requirements-$1.txt."
        rm -f "$stamp"
    else
        echo "Installing Python packages into $venv, from requirements-$1.txt. This happens once and takes about a minute."
        rm -rf "$venv"
        "$python" -m venv "$venv" || give_up "$python could not make a virtual environment in $venv."
    fi
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes --requirement "requirements-$1.txt" \
        || give_up "The Python packages could not be installed: pip says why above. Is the package index reachable?"
    stamp_of "$1" >"$stamp.new"
    mv "$stamp.new" "$stamp"
}

# Sets `python` to one that is new enough.
find_python() {
    too_old=
    for python in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        command -v "$python" >/dev/null 2>&1 || continue
        if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            too_old="$too_old $python ($("$python" --version 2>&1))"
        elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
            give_up "$python has no venv module. On Debian and Ubuntu: apt-get install python3-venv"
        else
            return 0
        fi
    done
    if [ -n "$too_old" ]; then
        give_up "Python 3.11 or newer is needed; found only$too_old."
    fi
    give_up "Python 3.11 or newer is needed, and none was found. On Debian and Ubuntu: apt-get install python3 python3-venv"
}

give_up() {
    echo "$1" >&2
    exit 1
}
