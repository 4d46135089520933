/* SPDX-License-Identifier: Apache-2.0 */
#include "device/cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/hash.h"

#define FOLDER "programs"
#define MAX_FILE ((uint64_t)64 << 20)

/* In front of the program; text fields are not terminated. */
typedef struct cache_header {
    char magic[8];
    char key[64];
    char checksum[64]; /* of the program */
    uint64_t size;     /* of the program */
} cache_header;

static const char magic[8] = "ZMPROG1";

static void hash_part(zm_sha256 *hash, const void *data, size_t size)
{
    uint64_t length = size; /* in front, so that no two lists of parts run into the same bytes */
    zm_sha256_update(hash, &length, sizeof(length));
    zm_sha256_update(hash, data, size);
}

void zm_cache_key_make(const zm_device *device, const zm_kernel_desc *desc, const char *options,
                       const char *source, size_t size, zm_cache_key *out)
{
    const zm_device_info *info = &device->info;
    const char *const parts[] = {magic,        desc->name,   options,   info->platform,
                                 info->vendor, info->driver, info->name};
    zm_sha256 hash;
    zm_sha256_init(&hash);
    hash_part(&hash, source, size);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        hash_part(&hash, parts[i], strlen(parts[i]));
    zm_sha256_finish(&hash, out->hex);
}

static void checksum(const unsigned char *data, size_t size, char hex[65])
{
    zm_sha256 hash;
    zm_sha256_init(&hash);
    zm_sha256_update(&hash, data, size);
    zm_sha256_finish(&hash, hex);
}

/* The folder, or the file of a key in it; NULL when out of memory. Free with free(). */
static char *cache_path(const zm_device *device, const zm_cache_key *key)
{
    char *folder = zm_path_join(device->cache_dir, FOLDER);
    if (!folder || !key)
        return folder;
    char *path = zm_path_join(folder, key->hex);
    free(folder);
    return path;
}

static bool sound(const char *file, size_t size, const zm_cache_key *key, cache_header *header)
{
    if (size < sizeof(*header))
        return false;
    memcpy(header, file, sizeof(*header));
    if (memcmp(header->magic, magic, sizeof(magic)) != 0 ||
        memcmp(header->key, key->hex, sizeof(header->key)) != 0 ||
        header->size != size - sizeof(*header))
        return false;
    char hex[65];
    checksum((const unsigned char *)file + sizeof(*header), (size_t)header->size, hex);
    return memcmp(header->checksum, hex, sizeof(header->checksum)) == 0;
}

bool zm_cache_load(const zm_device *device, const zm_cache_key *key, unsigned char **out,
                   size_t *size)
{
    char *path = device->cache_dir ? cache_path(device, key) : NULL;
    char *file = NULL;
    size_t file_size = 0;
    cache_header header;
    bool hit = false;
    if (path && zm_file_read(path, MAX_FILE, NULL, &file, &file_size) == ZM_OK) {
        hit = sound(file, file_size, key, &header);
        if (!hit)
            zm_logf(&device->log, ZM_LOG_DEBUG, "%s: damaged or foreign; replaced", path);
    }
    if (hit) {
        utimensat(AT_FDCWD, path, NULL, 0); /* eviction goes by the time of last use */
        memmove(file, file + sizeof(header), (size_t)header.size);
        *out = (unsigned char *)file;
        *size = (size_t)header.size;
    } else {
        free(file);
    }
    free(path);
    return hit;
}

/* ---- eviction ---- */

typedef struct cache_file {
    char name[96];
    uint64_t size;
    struct timespec used;
} cache_file;

static int by_age(const void *a, const void *b)
{
    const struct timespec *x = &((const cache_file *)a)->used, *y = &((const cache_file *)b)->used;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

/* All plain files, also temporary ones that a killed process left. */
static cache_file *list_files(DIR *folder, size_t *count, uint64_t *total)
{
    void *files = NULL;
    size_t capacity = 0;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        struct stat status;
        if (fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(status.st_mode) || strlen(entry->d_name) >= sizeof(((cache_file *)0)->name))
            continue;
        if (!zm_array_reserve(&files, &capacity, *count + 1, sizeof(cache_file)))
            break;
        cache_file *file = (cache_file *)files + (*count)++;
        strcpy(file->name, entry->d_name);
        file->size = (uint64_t)status.st_size;
        file->used = status.st_mtim;
        *total += file->size;
    }
    return files;
}

static void evict(const zm_device *device, const char *folder_path, const char *keep)
{
    DIR *folder = opendir(folder_path);
    if (!folder)
        return;
    size_t count = 0;
    uint64_t total = 0;
    cache_file *files = list_files(folder, &count, &total);
    if (files)
        qsort(files, count, sizeof(*files), by_age);
    for (size_t i = 0; i < count && total > device->cache_limit; i++) {
        if (strcmp(files[i].name, keep) == 0)
            continue;
        if (unlinkat(dirfd(folder), files[i].name, 0) == 0)
            zm_logf(&device->log, ZM_LOG_DEBUG, "cache: over %llu bytes; %s deleted",
                    (unsigned long long)device->cache_limit, files[i].name);
        total -= files[i].size;
    }
    free(files);
    closedir(folder);
}

/* ---- storing ---- */

static zm_status write_file(const char *path, const cache_header *header, const unsigned char *data)
{
    zm_writer writer = {.fd = -1};
    zm_status status = zm_writer_open(&writer, path, NULL);
    if (status == ZM_OK)
        status = zm_writer_write(&writer, header, sizeof(*header));
    if (status == ZM_OK)
        status = zm_writer_write(&writer, data, header->size);
    if (status == ZM_OK)
        status = zm_writer_commit(&writer);
    zm_writer_discard(&writer);
    return status;
}

void zm_cache_store(const zm_device *device, const zm_cache_key *key, const unsigned char *data,
                    size_t size)
{
    if (!device->cache_dir || size > MAX_FILE - sizeof(cache_header))
        return;
    cache_header header = {.size = size};
    char hex[65];
    checksum(data, size, hex);
    memcpy(header.magic, magic, sizeof(magic));
    memcpy(header.key, key->hex, sizeof(header.key));
    memcpy(header.checksum, hex, sizeof(header.checksum));

    char *folder = cache_path(device, NULL), *path = cache_path(device, key);
    bool stored = folder && path && zm_make_directories(folder, NULL) == ZM_OK &&
                  write_file(path, &header, data) == ZM_OK;
    if (stored)
        evict(device, folder, key->hex);
    else
        zm_logf(&device->log, ZM_LOG_INFO, "%s: programs cannot be kept here", device->cache_dir);
    free(folder);
    free(path);
}
