/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/page.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/file.h"

extern const char page_style[];

static bool reserve(page *p, size_t more)
{
    void *text = p->text;
    if (!p->failed && !zm_array_reserve(&text, &p->capacity, p->size + more + 1, 1))
        p->failed = true;
    if (!p->failed)
        p->text = text;
    return !p->failed;
}

static void append(page *p, const char *text, size_t length)
{
    if (!reserve(p, length))
        return;
    memcpy(p->text + p->size, text, length);
    p->size += length;
    p->text[p->size] = '\0';
}

void page_format(page *p, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0 || !reserve(p, (size_t)length))
        return;
    va_start(arguments, format);
    vsnprintf(p->text + p->size, (size_t)length + 1, format, arguments);
    va_end(arguments);
    p->size += (size_t)length;
}

/* So much of the text, escaped. */
static void escape(page *p, const char *text, size_t length)
{
    static const struct {
        char c;
        const char *entity;
    } entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    const size_t count = sizeof(entities) / sizeof(entities[0]);
    for (const char *end = text + length; text < end; text++) {
        size_t i = 0;
        while (i < count && entities[i].c != *text)
            i++;
        append(p, i < count ? entities[i].entity : text,
               i < count ? strlen(entities[i].entity) : 1);
    }
}

void page_text(page *p, const char *text)
{
    escape(p, text, strlen(text));
}

void page_list(page *p, const char *text)
{
    while (*text) {
        size_t length = strcspn(text, ",");
        length += text[length] == ',';
        escape(p, text, length);
        text += length;
        page_format(p, "%s", *text ? "<wbr>" : "");
    }
}

void page_begin(page *p, const char *title)
{
    page_format(p,
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                "<title>%s</title>\n<style>\n%s</style>\n</head>\n<body>\n<h1>%s</h1>\n",
                title, page_style, title);
}

void page_end(page *p)
{
    page_format(p, "</body>\n</html>\n");
}

void page_field(page *p, const char *name, const char *value)
{
    page_format(p, "<dt>%s</dt><dd>", name);
    page_text(p, value);
    page_format(p, "</dd>");
}

void page_cell(page *p, const char *style, const char *name, const char *text)
{
    page_format(p, "<td class=\"%s\" data-name=\"%s\">", style, name);
    page_list(p, text);
    page_format(p, "</td>");
}

zm_status page_write(const page *p, const char *path, const zm_log *log)
{
    zm_writer writer;
    if (p->failed)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for the page", path);
    zm_status status = zm_writer_open(&writer, path, log);
    if (status != ZM_OK)
        return status;
    status = zm_writer_write(&writer, p->text, p->size);
    if (status == ZM_OK)
        status = zm_writer_commit(&writer);
    zm_writer_discard(&writer);
    return status;
}
