/* SPDX-License-Identifier: Apache-2.0 */
#include "audio/ending.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNKS_MAX = 1000,
    OGG_HEADER = 27,
    OGG_END_OF_STREAM = 4,
    OGG_PAGE_MAX = OGG_HEADER + 255 + 255 * 255
};

/* What programs write that don't know yet how much will come. */
#define WAV_UNKNOWN UINT32_C(0xFFFFFFFF)

static bool read_at(FILE *file, uint64_t offset, void *bytes, size_t size)
{
    return fseeko(file, (off_t)offset, SEEK_SET) == 0 && fread(bytes, 1, size, file) == size;
}

static uint32_t little_endian(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static zm_audio_ending wav_ending(FILE *file, uint64_t size)
{
    uint8_t head[8];
    uint64_t at = 12;
    for (int i = 0; i < CHUNKS_MAX && read_at(file, at, head, sizeof(head)); i++) {
        uint32_t promised = little_endian(head + 4);
        uint64_t there = size - at - sizeof(head);
        if (memcmp(head, "data", 4) != 0) {
            at += sizeof(head) + promised + promised % 2;
            continue;
        }
        if (promised == WAV_UNKNOWN || promised <= there)
            break;
        return (zm_audio_ending){true, (double)there / promised};
    }
    return (zm_audio_ending){false, 1};
}

/* The length of the page at page[size]; 0 when not all of it is there. */
static size_t ogg_page_length(const uint8_t *page, size_t size)
{
    if (size < OGG_HEADER || size < OGG_HEADER + (size_t)page[26])
        return 0;
    size_t length = OGG_HEADER + (size_t)page[26];
    for (size_t i = 0; i < page[26]; i++)
        length += page[OGG_HEADER + i];
    return length <= size ? length : 0;
}

/* The last page of a stream is whole, and marked. */
static zm_audio_ending ogg_ending(FILE *file, uint64_t size)
{
    zm_audio_ending ending = {false, 1};
    size_t count = size < OGG_PAGE_MAX ? (size_t)size : OGG_PAGE_MAX;
    uint8_t *tail = malloc(count);
    if (tail && read_at(file, size - count, tail, count)) {
        size_t at = count;
        while (at-- > 0)
            if (count - at >= 6 && memcmp(tail + at, "OggS", 4) == 0)
                break;
        bool found = at < count;
        bool whole = found && ogg_page_length(tail + at, count - at) > 0;
        if (!whole || !(tail[at + 5] & OGG_END_OF_STREAM))
            ending = (zm_audio_ending){true, 0};
    }
    free(tail);
    return ending;
}

zm_audio_ending zm_audio_ending_of(const char *path)
{
    zm_audio_ending ending = {false, 1};
    FILE *file = fopen(path, "rb");
    uint8_t head[12];
    off_t size = -1;
    if (file && fseeko(file, 0, SEEK_END) == 0)
        size = ftello(file);
    if (size >= (off_t)sizeof(head) && read_at(file, 0, head, sizeof(head))) {
        if (memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "WAVE", 4) == 0)
            ending = wav_ending(file, (uint64_t)size);
        else if (memcmp(head, "OggS", 4) == 0)
            ending = ogg_ending(file, (uint64_t)size);
    }
    if (file)
        fclose(file);
    return ending;
}
