# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The slow part of scripts/test, which sources this file.

clang_build() {
    CC=clang CXX=clang++ build build-clang -Dwerror=true -Dopencl=enabled -Daudio=enabled
}

# One test case per source file.
clang_tidy() {
    local log=$work/tidy.log sources
    mapfile -t sources < <(find "$ROOT/src" -name '*.c' | sort)
    printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$(nproc)" sh -c '
        clang-tidy --quiet -p "$1/build-clang" "$2" >"$1/build/test/tidy-$$" 2>/dev/null &&
            echo "good $2" || { echo "bad $2"; cat "$1/build/test/tidy-$$"; }
        rm -f "$1/build/test/tidy-$$"' sh "$ROOT" >"$log"
    grep -v '^good ' "$log" || true
    add_counts "$(grep -c '^good ' "$log")" "$(grep -c '^bad ' "$log")" 0
}

bare_build() {
    build build-bare -Dwerror=true -Dopencl=disabled -Daudio=disabled
    check "the host device alone" "$ROOT/build-bare/zeromean" devices
    check "no audio is said in one line" bash -c \
        '"$1" transcribe a b 2>&1 | grep -c "without audio" | grep -qx 1' sh \
        "$ROOT/build-bare/zeromean"
    tests build-bare common format model recentre convert ref
}

valgrind_tests() {
    export ZEROMEAN_TEST_UNDER="valgrind -q --leak-check=full --error-exitcode=99"
    tests build --timeout-multiplier 30 common format model text recentre half ref
    unset ZEROMEAN_TEST_UNDER
}

# Oclgrind never says by its exit code that it found something: its log must stay empty. It takes
# itself for a GPU, so the kernels for CPUs are asked for by name.
oclgrind_tests() {
    local icd=$work/oclgrind log=$work/oclgrind.log op
    mkdir -p "$icd"
    echo /usr/lib/oclgrind/liboclgrind-rt-icd.so >"$icd/oclgrind.icd"
    for op in layer_norm rms_norm add recentre embedding kv_store argmax matmul conv1d attention; do
        rm -f "$log"
        check "Oclgrind: $op" env OCL_ICD_VENDORS="$icd" OCLGRIND_LOG="$log" OCLGRIND_DATA_RACES=1 \
            timeout "$OCLGRIND_SECONDS" "$ROOT/build/checkop" --device opencl:oclgrind \
            --op "$op" --kernel 'cpu*'
        check "Oclgrind: $op: log" bash -c 'head -n 20 "$1"; [ ! -s "$1" ]' sh "$log"
    done
}

fuzz() {
    local name corpus
    CC=clang CXX=clang++ build build-fuzz -Dfuzz=true
    ninja -C "$ROOT/build-fuzz" tests/fuzz/fuzz_safetensors tests/fuzz/fuzz_model >/dev/null
    for name in safetensors model; do
        corpus=$ROOT/build-fuzz/corpus-$name
        mkdir -p "$corpus"
        check "fuzzing $name" env -C "$ROOT/build-fuzz" tests/fuzz/fuzz_$name \
            -dict="$ROOT/tests/fuzz/$name.dict" -max_total_time=30 -rss_limit_mb=2048 "$corpus"
    done
}

stage "build with Clang" clang_build
stage "tests with Clang" tests build-clang --no-suite slow --no-suite models
stage "clang-tidy" clang_tidy
stage "build without OpenCL and audio" bare_build
stage "model" "$ROOT/scripts/fetch-model" whisper-base
stage "slow tests" tests build --suite slow
stage "Valgrind" valgrind_tests
stage "Oclgrind" oclgrind_tests
stage "fuzzing" fuzz
