# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the scripts share. Source it from bash after `set -euo pipefail`.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export ZEROMEAN_MODELS_DIR=${ZEROMEAN_MODELS_DIR:-$ROOT/models}
export ZEROMEAN_TEST_SPEECH=${ZEROMEAN_TEST_SPEECH:-/usr/share/pocketsphinx/test/data/librivox}
export ZEROMEAN_TEST_ONNX=${ZEROMEAN_TEST_ONNX:-$ROOT/build/onnx}

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# stage "what" command...: says what is done, what it took, and stops the script if it fails.
stage() {
    local what=$1 start=$SECONDS
    shift
    printf '== %s\n' "$what"
    "$@" || fail "failed: $what ($*)"
    printf '   %d s\n' $((SECONDS - start))
}

# Without options a folder that is there stays as it is.
configure() {
    local folder=$1
    shift
    if [ -f "$folder/build.ninja" ]; then
        [ $# -eq 0 ] || meson configure "$folder" "$@"
    else
        rm -rf "$folder"/meson-*
        meson setup "$folder" "$ROOT" "$@"
    fi
}

# build FOLDER OPTION...: configures and builds; quick when nothing changed.
build() {
    local folder=$ROOT/$1 log=$ROOT/$1.log
    shift
    if configure "$folder" "$@" >"$log" 2>&1 && ninja -C "$folder" >>"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    tail -n 40 "$log" >&2
    return 1
}

# spirv_version: of names on stdin, packages or commands, the N of clang-N and llvm-spirv-N. 14 was
# tried most; otherwise the newest. Fails where there is no such pair.
spirv_version() {
    awk '
        /^clang-[0-9]+$/ { clang[substr($0, 7)] }
        /^llvm-spirv-[0-9]+$/ { translator[substr($0, 12)] }
        END {
            for (n in translator)
                if (n in clang && best != 14 && (n == 14 || n + 0 > best + 0)) best = n
            if (!best) exit 1
            print best
        }'
}

spirv_installed() {
    compgen -c | spirv_version
}

# or_fail WHAT COMMAND...: runs it; if it fails, its last line is the reason.
or_fail() {
    local what=$1 said
    shift
    said=$("$@" 2>&1 >/dev/null </dev/null) || fail "$what: $(tail -n 1 <<<"$said")"
}

# make_venv FOLDER CHECK PACKAGE...: Python with these packages, unless it is there and runs CHECK.
# Needs the network.
make_venv() {
    local folder=$1 check=$2
    shift 2
    ! "$folder/bin/python" -c "$check" 2>/dev/null || return 0
    [ -x "$folder/bin/pip" ] || rm -rf "$folder"
    or_fail "cannot make $folder" python3 -m venv "$folder"
    or_fail "cannot install $* (is there a network?)" \
        "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"
}
