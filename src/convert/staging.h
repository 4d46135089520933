/* SPDX-License-Identifier: Apache-2.0 */
/* A directory, or a file, that is complete or absent: a directory is filled under a hidden
 * temporary name beside the output; it, or the one file in it, gets its name in one step at the
 * end.
 *
 * The temporary directory is locked while its process lives. One that a killed process left is
 * not locked any more; the next staging of the same output removes it. */
#ifndef ZM_SRC_CONVERT_STAGING_H
#define ZM_SRC_CONVERT_STAGING_H

#include <sys/types.h>

#include "common/log.h"

typedef struct zm_staging {
    char *output;    /* absolute, links resolved */
    char *parent;    /* the directory that holds it */
    char *name;      /* its last component; points into output */
    char *temporary; /* where to write; NULL before zm_staging_begin */
    int lock;        /* -1 = none */
    bool file;   /* the output is a file, which is called name in the temporary directory, too */
    bool exists; /* output is there already: an existing directory ... */
    bool empty;  /* ... with nothing in it */
    zm_log log;
} zm_staging;

/* Resolves the names and touches nothing. ZM_ERROR_INVALID_ARGUMENT: the output exists and
 * overwrite is not set, is no directory or holds directories, or input and output contain one
 * another. ZM_ERROR_NOT_FOUND: there is no directory to create the output in. */
zm_status zm_staging_init(zm_staging *staging, const char *input, const char *output,
                          bool overwrite, const zm_log *log);
/* The same for a file, which may lie in the input if that is a directory. */
zm_status zm_staging_init_file(zm_staging *staging, const char *input, const char *output,
                               bool overwrite, const zm_log *log);
/* Removes what interrupted runs left, checks that bytes will fit, creates the directory. */
zm_status zm_staging_begin(zm_staging *staging, uint64_t bytes);
/* Gives the directory, or the file, its name; an existing output is swapped out and removed. */
zm_status zm_staging_commit(zm_staging *staging);
/* Removes the temporary directory, if any, and frees. Tolerates a zeroed-with-lock=-1 staging. */
void zm_staging_finish(zm_staging *staging);

#endif
