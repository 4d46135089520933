/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that are compiled twice have in common. The build defines ZM_REF_F64 or not. */
#ifndef ZM_SRC_REF_REAL_H
#define ZM_SRC_REF_REAL_H

#include <zeromean/common.h>

#include "ref/list.h"
#include "shaders/args.h"

#ifdef ZM_REF_F64
#define REAL double
#define REAL_DTYPE ZM_F64
#define ZM_REF(name) zm_ref_##name##_f64
#else
#define REAL float
#define REAL_DTYPE ZM_F32
#define ZM_REF(name) zm_ref_##name##_f32
#endif

#endif
