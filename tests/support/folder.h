/* SPDX-License-Identifier: Apache-2.0 */
/* Temporary folders, for all that tests write. */
#ifndef ZM_TESTS_FOLDER_H
#define ZM_TESTS_FOLDER_H

/* The path of a new, empty folder in TMPDIR or, without it, where it costs no disk; NULL when
 * there can be none. */
char *test_folder_make(void);
/* Removes it with all in it and frees the path. */
void test_folder_remove(char *path);

#endif
