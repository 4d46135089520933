/* SPDX-License-Identifier: Apache-2.0 */
/* What belongs to a Pre-LN model and writes its main branch as well: low-rank adapters and control
 * vectors. params->input is the model. */
#ifndef ZM_SRC_CONVERT_ADAPTER_H
#define ZM_SRC_CONVERT_ADAPTER_H

#include <zeromean/convert.h>

zm_status zm_adapter_convert(const zm_convert_params *params, zm_convert_report *report);

#endif
