/* SPDX-License-Identifier: Apache-2.0 */
/* What a launch costs. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void nothing(__global float *dst)
{
    if (get_global_id(0) == 0xffffffff)
        dst[0] = 0.0f;
}
