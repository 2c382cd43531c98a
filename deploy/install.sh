#!/bin/sh
# install.sh VENV runtime|dev: install the locked requirements and this checkout into VENV, unless that was done already.
set -eu
venv=$1 set=$2

# Everything that an install depends on. `dev` holds all of `runtime` in the same versions, so after it there is nothing left to do.
wanted() { cat "deploy/lock/$1.txt" pyproject.toml | cksum; echo "$PWD"; }
done_() { [ -f "$venv/.installed-$1" ] && [ "$(cat "$venv/.installed-$1")" = "$(wanted "$1")" ]; }
if done_ dev || done_ "$set"; then exit 0; fi

if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    for candidate in python3.11 python3.12 python3 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then python=$candidate; break; fi
    done
    if [ -z "${python:-}" ]; then
        echo "No Python 3.11 or 3.12 was found on the PATH (looked for python3.11, python3.12, python3, python). Install one and run make again." >&2
        exit 2
    fi
    echo "Making $venv with $("$python" --version)"
    if ! "$python" -m venv "$venv"; then
        echo "$python could not make $venv. On Debian and Ubuntu its venv module is a package of its own: python3-venv." >&2
        exit 2
    fi
fi

total=$(grep -c '==' "deploy/lock/$set.txt")
echo "Installing $total locked packages (a minute or two the first time)"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
rm -f "$venv/.failed"
{ pip install --progress-bar off --require-hashes --requirement "deploy/lock/$set.txt" || : > "$venv/.failed"; } |
    awk -v total="$total" '/^Collecting/ && ++n % 10 == 0 { print "  " n " of " total; fflush() }'
if [ -e "$venv/.failed" ]; then
    echo "The packages could not be installed; pip says why above. Mend that (most often the network) and run make again." >&2
    exit 1
fi
pip install --quiet --no-deps --no-build-isolation --editable .
wanted "$set" > "$venv/.installed-$set"
echo "Installed"
