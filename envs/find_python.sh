# Sourced by ./run and ./test: `find_python` prints the path of a Python that Attacca runs on, the newest first, or
# explains what to install. `make_venv DIRECTORY` makes a virtual environment with it, unless there is one already.

_is_suitable() {
  "$1" -c 'import sys; sys.exit(not (3, 12) <= sys.version_info[:2] < (3, 15))' > /dev/null 2>&1
}

find_python() {
  local candidate version
  if [ -n "${PYTHON:-}" ]; then
    if _is_suitable "$PYTHON"; then command -v "$PYTHON"; return; fi
    echo "PYTHON=$PYTHON is not Python 3.12, 3.13 or 3.14; name another interpreter, or unset PYTHON" >&2
    return 1
  fi
  for version in 3.14 3.13 3.12; do
    # An interpreter on PATH, then versions that pyenv has installed, activated or not.
    for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version"*/bin/python; do
      if _is_suitable "$candidate"; then command -v "$candidate"; return; fi
    done
  done
  if _is_suitable python3; then command -v python3; return; fi
  if command -v uv > /dev/null; then
    echo "Installing Python 3.13 with uv." >&2
    if uv python install --quiet 3.13 >&2 && uv python find 3.13; then return; fi
  fi
  if command -v conda > /dev/null; then
    echo "Installing Python 3.13 with conda into .python." >&2
    if conda create --quiet --yes --prefix "$PWD/.python" python=3.13 >&2; then
      echo "$PWD/.python/bin/python"
      return
    fi
  fi
  cat >&2 << 'END'
Attacca needs Python 3.12, 3.13 or 3.14, and none was found: not in $PYTHON, not on PATH (python3.14, python3.13,
python3.12, python3), not among the versions of pyenv. Install one, for example with your system's packages
(Debian, Ubuntu: apt install python3.13 python3.13-venv), with uv (https://docs.astral.sh/uv) or with conda, and run
this command again.
END
  return 1
}

make_venv() {
  local python
  if [ -x "$1/bin/python" ] && ! _is_suitable "$1/bin/python"; then
    echo "$1 has $("$1/bin/python" --version 2>&1), but Attacca needs Python 3.12, 3.13 or 3.14; delete $1 and run this command again" >&2
    return 1
  fi
  [ -x "$1/bin/python" ] && return
  python=$(find_python) || return 1
  echo "Installing into $1 with $("$python" --version), once; this takes a minute or several." >&2
  "$python" -m venv "$1"
}
