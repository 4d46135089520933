/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that are compiled once for each storage have in common. The build defines
 * ZM_REF_F64 or not, and ZM_REF_F16, ZM_REF_BF16 or neither. */
#ifndef ZM_SRC_REF_REAL_H
#define ZM_SRC_REF_REAL_H

#include <zeromean/common.h>

#include "common/half.h"
#include "ref/list.h"
#include "shaders/args.h"

/* Statistics and what is derived from weights (column sums, slopes, rotary factors). */
#ifdef ZM_REF_F64
#define REAL double
#define REAL_NAME(name) zm_ref_##name##_f64
#else
#define REAL float
#define REAL_NAME(name) zm_ref_##name##_f32
#endif

/* Activations, which only these two functions look into. */
#if defined(ZM_REF_F16)
typedef uint16_t ACT;
#define ZM_REF(name) ZM_REF_SUFFIX(REAL_NAME(name), _f16)
static inline double act_get(const ACT *x, size_t i)
{
    return zm_half_to_float(x[i]);
}
static inline void act_set(ACT *x, size_t i, double value)
{
    x[i] = zm_half_from_double(value);
}
#elif defined(ZM_REF_BF16)
typedef uint16_t ACT;
#define ZM_REF(name) ZM_REF_SUFFIX(REAL_NAME(name), _bf16)
static inline double act_get(const ACT *x, size_t i)
{
    return zm_bf16_to_float(x[i]);
}
static inline void act_set(ACT *x, size_t i, double value)
{
    zm_store_real(x, ZM_BF16, i, value);
}
#else
typedef REAL ACT;
#define ZM_REF(name) REAL_NAME(name)
static inline double act_get(const ACT *x, size_t i)
{
    return x[i];
}
static inline void act_set(ACT *x, size_t i, double value)
{
    x[i] = (ACT)value;
}
#endif
#define ZM_REF_SUFFIX(name, suffix) ZM_REF_JOIN(name, suffix)
#define ZM_REF_JOIN(name, suffix) name##suffix

#endif
