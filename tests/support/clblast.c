/* SPDX-License-Identifier: Apache-2.0 */
/* A libclblast.so.1 that can do nothing: it counts what it is asked for, and fails. */
#include <clblast_c.h>

unsigned fake_products, fake_clears;

CLBlastStatusCode CLBlastSgemm(const CLBlastLayout layout, const CLBlastTranspose a_transpose,
                               const CLBlastTranspose b_transpose, const size_t m, const size_t n,
                               const size_t k, const float alpha, const cl_mem a_buffer,
                               const size_t a_offset, const size_t a_ld, const cl_mem b_buffer,
                               const size_t b_offset, const size_t b_ld, const float beta,
                               cl_mem c_buffer, const size_t c_offset, const size_t c_ld,
                               cl_command_queue *queue, cl_event *event)
{
    (void)layout, (void)a_transpose, (void)b_transpose, (void)m, (void)n, (void)k, (void)alpha;
    (void)a_buffer, (void)a_offset, (void)a_ld, (void)b_buffer, (void)b_offset, (void)b_ld;
    (void)beta, (void)c_buffer, (void)c_offset, (void)c_ld, (void)queue, (void)event;
    fake_products++;
    return fake_products % 2 ? CLBlastInvalidLocalMemUsage : CLBlastTempBufferAllocFailure;
}

CLBlastStatusCode
CLBlastSgemmStridedBatched(const CLBlastLayout layout, const CLBlastTranspose a_transpose,
                           const CLBlastTranspose b_transpose, const size_t m, const size_t n,
                           const size_t k, const float alpha, const cl_mem a_buffer,
                           const size_t a_offset, const size_t a_ld, const size_t a_stride,
                           const cl_mem b_buffer, const size_t b_offset, const size_t b_ld,
                           const size_t b_stride, const float beta, cl_mem c_buffer,
                           const size_t c_offset, const size_t c_ld, const size_t c_stride,
                           const size_t batch_count, cl_command_queue *queue, cl_event *event)
{
    (void)a_stride, (void)b_stride, (void)c_stride, (void)batch_count;
    return CLBlastSgemm(layout, a_transpose, b_transpose, m, n, k, alpha, a_buffer, a_offset, a_ld,
                        b_buffer, b_offset, b_ld, beta, c_buffer, c_offset, c_ld, queue, event);
}

CLBlastStatusCode CLBlastClearCache(void); /* the header has no prototype */

CLBlastStatusCode CLBlastClearCache(void)
{
    fake_clears++;
    return CLBlastSuccess;
}
