#!/usr/bin/env bash
# Runs a command inside the project's virtual environment, which it makes when it is missing or
# does not fit requirements.txt:  tools/run.sh python -m pytest
#
# Environment: PYTHON, the interpreter to make it with (python3).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
PATH=${PATH//"$venv/bin:"/} # an activated .venv is not what a new one is made with
python=${PYTHON:-python3}

fail() {
  echo "tools/run.sh: $*" >&2
  exit 1
}

[ $# -gt 0 ] || fail "usage: tools/run.sh CMD..."
command -v "$python" >/dev/null || fail "no interpreter '$python'; set PYTHON to a python >= 3.10"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>&1) ||
  fail "'$python' does not run: $version"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  fail "expected python >= 3.10, '$python' is $version; set PYTHON to a newer one"

# The stamp is written last, so an interrupted install is one without a stamp, and made anew.
wanted="$version $root $(cksum <"$root/requirements.txt")"
stamp=$venv/.complete
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  exec 9>"$root/.venv.lock"
  flock 9 2>/dev/null || true # two first runs at once: the second waits for the first
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "tools/run.sh: installing requirements.txt into .venv (once; some minutes)" >&2
    rm -rf "$venv"
    log=$root/.venv.log
    if ! { "$python" -m venv "$venv" &&
      "$venv/bin/python" -m pip install --disable-pip-version-check -r "$root/requirements.txt"; } \
      >"$log" 2>&1; then
      grep -v '^WARNING' "$log" | tail -n 5 >&2
      fail "the install failed; the whole log is in $log"
    fi
    echo "$wanted" >"$stamp"
  fi
  exec 9>&-
fi

cd "$root"
PATH=$venv/bin:$PATH VIRTUAL_ENV=$venv exec "$@"
