#!/bin/sh
# Make a virtual environment with uv in it: make_venv.sh PYTHON VENV CONSTRAINTS
#
# Works without ensurepip (Debian and Ubuntu ship it apart, in python3-venv): first without any change to
# the system, then through apt-get where that needs no password, else by printing the command to type.
set -eu
python=$1 venv=$2 constraints=$3
PATH=${PATH#"$venv/bin:"}  # the environment to be replaced must not make its successor

fail() {
    printf 'error: %s\nhint:  %s\n' "$1" "$2" >&2
    exit 1
}

if ! command -v "$python" >/dev/null 2>&1; then
    fail "there is no interpreter '$python' on PATH; Seamless needs Python 3.10 or newer." \
        "sudo apt-get install python3 python3-venv   (or name another: make PYTHON=/path/to/python3.12)"
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    fail "'$python' is $("$python" --version 2>&1); Seamless needs Python 3.10 or newer." \
        "make PYTHON=/path/to/python3.12"
fi

has_ensurepip() { "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; }

install_uv() {  # with the pip that is inside the environment, or one outside that is pointed at it
    "$@" install --quiet --disable-pip-version-check --constraint "$constraints" uv
}

if ! has_ensurepip && ! "$python" -m pip --version >/dev/null 2>&1 && ! command -v uv >/dev/null 2>&1; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    package="python$version-venv"
    echo "'$python' has no ensurepip: Debian and Ubuntu keep it in the package $package." >&2
    apt=
    if command -v apt-get >/dev/null 2>&1; then
        if [ "$(id -u)" = 0 ]; then
            apt="env"
        elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
            apt="sudo -n env"
        fi
    fi
    if [ -n "$apt" ]; then
        echo "Installing $package with apt-get." >&2
        # Word splitting of $apt is meant.
        $apt DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 || true
        $apt DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$package" >&2 ||
            $apt DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3-venv >&2 || true
    fi
    has_ensurepip || fail "a virtual environment cannot be made without ensurepip." "sudo apt-get install $package"
fi

rm -rf "$venv"
if has_ensurepip; then
    "$python" -m venv "$venv"
    install_uv "$venv/bin/python" -m pip
elif "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --without-pip "$venv"
    install_uv "$python" -m pip --python "$venv/bin/python"
else
    uv venv --quiet --python "$python" "$venv"
    uv pip install --quiet --python "$venv/bin/python" --constraints "$constraints" uv
fi
