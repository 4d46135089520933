/* SPDX-License-Identifier: Apache-2.0 */
/* Formats of conversations as data. */
#ifndef ZM_SRC_GENERATE_CHAT_FORMAT_H
#define ZM_SRC_GENERATE_CHAT_FORMAT_H

#include <zeromean/chat.h>

typedef struct zm_chat_marks {
    const char *name;
    const char *has[2];  /* a template of the format has both of these ... */
    const char *without; /* ... and not this one; NULL = whatever else */
    const char *begin; /* the special token that all begins with; NULL = what the tokenizer says */
    const char *special;                /* a token that the tokenizer must have; NULL = none */
    const char *system, *behind_system; /* around the system's text ... */
    bool system_in_user;                /* ... behind the first `user`; else in front of it */
    const char *user, *behind_user;     /* around what the user says; then the answer follows */
    const char *behind_answer;          /* in front of the next `user` */
} zm_chat_marks;

const zm_chat_marks *zm_chat_marks_get(zm_chat_format format);

/* The system's text that the template writes when nobody else does: what stands between the marks
 * in one of its strings. Free *out with free(); NULL: there is none. ZM_ERROR_OUT_OF_MEMORY. */
zm_status zm_chat_default_system(const zm_chat_marks *marks, const char *chat_template, char **out);

#endif
