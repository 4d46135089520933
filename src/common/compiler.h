/* SPDX-License-Identifier: Apache-2.0 */
/* The only place for compiler extensions. */
#ifndef ZM_SRC_COMMON_COMPILER_H
#define ZM_SRC_COMMON_COMPILER_H

#if defined(__GNUC__)
#define ZM_PRINTF(string, first) __attribute__((__format__(__printf__, string, first)))
#else
#define ZM_PRINTF(string, first)
#endif

/* The type of a declared function, so that a table of pointers follows its header. */
#define ZM_TYPEOF(name) __typeof__(name)

/* Compiles a function once per vector width and picks one at load time. The C semantics stay: no
 * contraction, no reassociation, so every version gives the same bits. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && defined(__GNUC__) && \
    !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ZM_VECTORISED __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ZM_VECTORISED
#endif

#endif
