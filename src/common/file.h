/* SPDX-License-Identifier: Apache-2.0 */
/* Files: mapped for reading, written so that they are complete or absent. */
#ifndef ZM_SRC_COMMON_FILE_H
#define ZM_SRC_COMMON_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/log.h"

/* A file mapped read-only. */
typedef struct zm_map {
    const uint8_t *data; /* NULL for an empty file */
    uint64_t size;
} zm_map;

/* ZM_ERROR_NOT_FOUND, ZM_ERROR_IO; a directory or a device is ZM_ERROR_IO. */
zm_status zm_map_open(const char *path, const zm_log *log, zm_map *out);
void zm_map_close(zm_map *map);
/* Does the range lie in the mapping? */
bool zm_map_holds(const zm_map *map, const void *begin, uint64_t size);
/* Tells the kernel that the pages of this range are not needed for now; reading them again works.
 */
void zm_map_drop(const zm_map *map, const void *begin, uint64_t size);

/* Reads a whole small file, NUL-terminated behind its bytes. Over max_size: ZM_ERROR_LIMIT. Free
 * *out with free(). */
zm_status zm_file_read(const char *path, uint64_t max_size, const zm_log *log, char **out,
                       size_t *size);

/* A file under a temporary name beside path; commit gives it its name (fsync, rename). */
typedef struct zm_writer {
    int fd; /* -1 = closed */
    char *path;
    char *temporary;
    uint64_t written;
    zm_log log;
} zm_writer;

zm_status zm_writer_open(zm_writer *writer, const char *path, const zm_log *log);
zm_status zm_writer_write(zm_writer *writer, const void *data, uint64_t size);
/* On failure the temporary file is gone. */
zm_status zm_writer_commit(zm_writer *writer);
/* Removes the temporary file; after a commit it does nothing. Tolerates a zeroed-with-fd=-1
 * writer. */
void zm_writer_discard(zm_writer *writer);

/* directory + "/" + name; NULL when out of memory. Free with free(). */
char *zm_path_join(const char *directory, const char *name);
/* The directory that the path lies in: "." for a bare name. NULL when out of memory. */
char *zm_path_parent(const char *path);
bool zm_path_ends_with(const char *path, const char *suffix);
bool zm_path_is_directory(const char *path);
bool zm_path_exists(const char *path);
/* Creates the directory and its parents, mode 0700 for those that are new. */
zm_status zm_make_directories(const char *path, const zm_log *log);

#endif
