# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016 # single quotes are for the inner shell
# The slow part of scripts/test, which sources this file.
: "${work:?}" "${ROOT:?}" "${features[0]:?}"

clang_build() {
    CC=clang CXX=clang++ build build-clang "${features[@]}"
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
    build build-bare -Dwerror=true -Dopencl=disabled -Daudio=disabled -Dimage=disabled -Dtext=disabled
    check "the host device alone" "$ROOT/build-bare/zeromean" devices
    check "no audio is said in one line" bash -c \
        '"$1" transcribe "$2" README.md 2>&1 | grep -c "without audio" | grep -qx 1' sh \
        "$ROOT/build-bare/zeromean" "$ZEROMEAN_MODELS_DIR/whisper-tiny.en"
    check "no patterns is said in one line" bash -c \
        '"$1" tokenize "$2" README.md 2>&1 | grep -c "no PCRE2" | grep -qx 1' sh \
        "$ROOT/build-bare/zeromean" "$ZEROMEAN_MODELS_DIR/whisper-tiny.en"
    tests build-bare common format model config text recentre convert ref no-audio no-image readme
}

# Without the tests that need 80-bit long doubles, which Valgrind computes in 64.
valgrind_tests() {
    export ZEROMEAN_TEST_UNDER="valgrind -q --leak-check=full --error-exitcode=99"
    tests build --timeout-multiplier 30 common format gguf gguf_writer quant model config text \
        text_vocabulary half ref ref_attention ref_linear staging
    unset ZEROMEAN_TEST_UNDER
}

families='[cg]pu*'

# The only OpenCL platform of what follows: icd_folder NAME LIBRARY makes its folder.
icd_folder() {
    mkdir -p "$work/$1"
    echo "$2" >"$work/$1/$1.icd"
}

ops() {
    "$ROOT/build/checkop" --list | awk '{print $1}'
}

# The small cases of an op, with every kernel of both families. Oclgrind never says by its exit code that it found
# something: its log must stay empty.
oclgrind_op() { # OP OPTION...
    local op=$1 log=$work/oclgrind.log status=0
    shift
    rm -f "$log"
    env OCL_ICD_VENDORS="$work/oclgrind" OCLGRIND_LOG="$log" OCLGRIND_DATA_RACES=1 \
        ZEROMEAN_CACHE_DIR= timeout 900 "$ROOT/build/checkop" --device opencl:oclgrind --small \
        --op "$op" --kernel "$families" "$@" || status=$?
    if [ -s "$log" ]; then
        head -n 40 "$log"
        status=1
    fi
    return "$status"
}

# A fault that was planted must be in the log, or an empty log says nothing.
oclgrind_sees() { # FAULT WORDS
    local shaders=$work/planted
    rm -rf "$shaders"
    cp -r "$ROOT/shaders" "$shaders"
    cp "$ROOT/tests/planted/$1.cl" "$shaders/gpu/add.cl"
    ! oclgrind_op add --kernel gpu --shaders "$shaders" && grep -q "$2" "$work/oclgrind.log"
}

oclgrind_tests() {
    local op
    icd_folder oclgrind /usr/lib/oclgrind/liboclgrind-rt-icd.so
    check "Oclgrind: a race is seen" oclgrind_sees race "data race"
    check "Oclgrind: a read outside is seen" oclgrind_sees outside "Invalid read"
    for op in $(ops); do
        check "Oclgrind: $op" oclgrind_op "$op"
    done
}

rusticl() { # checkop's OPTION...
    env OCL_ICD_VENDORS="$work/rusticl" RUSTICL_ENABLE=llvmpipe "$ROOT/scripts/test-wrapper" \
        "$ROOT/build/checkop" --device opencl:rusticl --small "$@"
}

# Another compiler, with another idea of what a device may refuse. The gpu family suits the device;
# of the other one it compiles some kernels, the slowest in 80 s. Lowered
# limits only with the gpu family: the work-groups of the other one are of one item.
rusticl_tests() {
    local op size
    icd_folder rusticl libRusticlOpenCL.so.1
    check "rusticl: the small cases" rusticl --kernel 'gpu*'
    for size in 64 256; do
        check "rusticl: work-groups of $size" rusticl --kernel 'gpu*' --work-group $size
    done
    for op in $(ops); do
        case $op in
        layer_norm | rms_norm | crms_norm | row_statistics | add | recentre | activate | argmax | \
            top_k | kv_store | rope | embedding)
            check "rusticl: the cpu kernel of $op" rusticl --op "$op" --kernel 'cpu*'
            ;;
        copy) skip "rusticl: the cpu kernel of copy: the driver crashes" ;;
        softmax) skip "rusticl: the cpu kernel of softmax: its compiler takes over 130 s" ;;
        *)
            skip "rusticl: the cpu kernels of $op, which are no smaller than matmul's: its" \
                "compiler took over 100 s and 4 GB for those"
            ;;
        esac
    done
}

# Devices with small work-groups; as many threads as there may be; the same bits each time.
pocl_tests() {
    local size threads
    mkdir -p "$work/cache/threads"
    for size in 64 256; do
        check "PoCL: work-groups of $size" env POCL_MAX_WORK_GROUP_SIZE=$size \
            "$ROOT/scripts/test-wrapper" "$ROOT/build/checkop" --device opencl:pocl --small \
            --kernel "$families"
    done
    for threads in 1 2 4; do
        check "PoCL: the same bits 100 times with $threads threads" env \
            POCL_MAX_PTHREAD_COUNT=$threads POCL_AFFINITY=0 "$ROOT/scripts/test-wrapper" \
            "$ROOT/build/checkop" --device opencl:pocl --small --repeat 100 --kernel "$families"
        check "PoCL: all cases with $threads threads" env POCL_MAX_PTHREAD_COUNT=$threads \
            POCL_AFFINITY=0 POCL_CACHE_DIR="$work/cache/threads" ZEROMEAN_CACHE_DIR= \
            "$ROOT/build/checkop" --device opencl:pocl --kernel "$families" \
            --bits "$work/bits-$threads"
    done
    for threads in 2 4; do
        check "PoCL: the bits of $threads threads are those of one" \
            diff "$work/bits-1" "$work/bits-$threads"
    done
}

# Devices that are not here, as far as their limits go: all ops, and a model from end to end.
profile_tests() {
    local profile text expected
    expected=$("$ROOT/build/zeromean" generate "$ROOT/share/bible-gpt2" -p "And the" -n 16 \
        --device host 2>/dev/null)
    for profile in $("$ROOT/build/zeromean" devices --profiles | awk 'NR > 1 {print $1}'); do
        check "$profile: ops" "$ROOT/scripts/test-wrapper" "$ROOT/build/checkop" --small \
            --device "opencl:pocl@$profile"
        text=$("$ROOT/scripts/test-wrapper" "$ROOT/build/zeromean" generate \
            "$ROOT/share/bible-gpt2" -p "And the" -n 16 --device "opencl:pocl@$profile" \
            2>"$work/profile.log" || cat "$work/profile.log")
        check "$profile: a text" diff <(echo "$expected") <(echo "$text")
    done
}

# What several threads do, on the host and on PoCL, whose locks are seen as well. Nothing of PoCL is
# suppressed: where two threads set the arguments of one kernel, it is PoCL that writes. On some
# systems programs lie where the sanitizer keeps its notes, unless they are told not to.
thread_tests() {
    configure "$ROOT/build-tsan" "${features[@]}" -Dspirv=disabled -Db_sanitize=thread \
        -Db_lundef=false -Dbuildtype=debugoptimized >/dev/null
    ninja -C "$ROOT/build-tsan" tests/test-{threads,graph,kernel} >/dev/null
    export ZEROMEAN_TEST_UNDER="setarch -R"
    tests build-tsan --timeout-multiplier 10 threads-host threads-opencl threads-sessions \
        graph kernel
    unset ZEROMEAN_TEST_UNDER
}

# Ids against the packages of others, on lines that are hard.
tokenizer_peers() {
    make_venv "$ROOT/build/text-venv" "import tokenizers, sentencepiece, gguf" \
        tokenizers==0.23.3 sentencepiece==0.2.3 gguf==0.19.0
    check "tokens as the packages tokenizers and sentencepiece make them" \
        "$ROOT/build/text-venv/bin/python" "$ROOT/tests/text/compare.py" \
        "$ROOT/build/libzeromean.so" "$ZEROMEAN_MODELS_DIR"
}

stage "build with Clang" clang_build
stage "tests with Clang" tests build-clang --no-suite slow --no-suite models
stage "clang-tidy" clang_tidy
stage "build without OpenCL and audio" bare_build
stage "model" "$ROOT/scripts/fetch-model" whisper-base
stage "model in GGUF" "$ROOT/scripts/fetch-model" smollm2
stage "slow tests" tests build --suite slow
# The repeats as on a larger device, which has other tiles for the same bits.
stage "checkop, all cases on OpenCL" check "checkop: all cases on OpenCL" \
    "$ROOT/scripts/test-wrapper" "$ROOT/build/checkop" --device opencl --units 64
stage "tokenizers of others" tokenizer_peers
stage "Valgrind" valgrind_tests
stage "ThreadSanitizer" thread_tests
stage "Oclgrind" oclgrind_tests
stage "rusticl" rusticl_tests
stage "limits and threads of PoCL" pocl_tests
stage "profiles of devices" profile_tests
