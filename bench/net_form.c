/* SPDX-License-Identifier: Apache-2.0 */
#include "net_form.h"

#include <string.h>

#define NO_DEFERRED [ZM_PASS_DEFERRED_NORM] = true

/* The sum goes into the norm where it doesn't go into the product before. */
#define FUSED [ZM_PASS_EPILOGUE] = true, NO_DEFERRED

static const net_form forms[] = {
    {"ln", ZM_BLOCK_LAYER_NORM, NET_PLAIN, false, false, {NO_DEFERRED}},
    {"ln-fused", ZM_BLOCK_LAYER_NORM, NET_PLAIN, false, false, {FUSED}},
    {"ln-deferred", ZM_BLOCK_LAYER_NORM, NET_PLAIN, true, true, {false}},
    {"rms", ZM_BLOCK_RMS_NORM, NET_CENTRED, false, false, {NO_DEFERRED}},
    {"rms-fused", ZM_BLOCK_RMS_NORM, NET_CENTRED, false, false, {FUSED}},
    {"rms-deferred", ZM_BLOCK_RMS_NORM, NET_CENTRED, true, false, {false}},
    {"crms", ZM_BLOCK_CRMS_NORM, NET_COMPRESSED, true, false, {NO_DEFERRED}},
    {"crms-deferred", ZM_BLOCK_CRMS_NORM, NET_COMPRESSED, true, false, {false}},
    {"ortho", ZM_BLOCK_RMS_NORM, NET_TURNED, true, false, {NO_DEFERRED}},
    {"ortho-deferred", ZM_BLOCK_RMS_NORM, NET_TURNED, true, false, {false}},
    {"none", ZM_BLOCK_NO_NORM, NET_PLAIN, false, false, {false}},
};
_Static_assert(sizeof(forms) / sizeof(forms[0]) == NET_MAX_FORMS, "all forms fit");

const net_form *net_form_at(size_t i)
{
    return i < NET_MAX_FORMS ? &forms[i] : NULL;
}

static const net_form *find(const char *name, size_t length)
{
    for (size_t i = 0; i < NET_MAX_FORMS; i++)
        if (strlen(forms[i].name) == length && memcmp(forms[i].name, name, length) == 0)
            return &forms[i];
    return NULL;
}

size_t net_forms_read(const char *text, const net_form *out[NET_MAX_FORMS])
{
    size_t count = 0;
    if (!text)
        for (; count < NET_MAX_FORMS; count++)
            out[count] = &forms[count];
    while (text && *text) {
        size_t length = strcspn(text, ",");
        const net_form *form = find(text, length);
        for (size_t i = 0; i < count; i++)
            if (out[i] == form)
                return 0;
        if (!form)
            return 0;
        out[count++] = form;
        text += length + (text[length] == ',');
    }
    return count;
}
