/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ZM_SRC_MODEL_PAGES_H
#define ZM_SRC_MODEL_PAGES_H

#include <zeromean/model.h>

/* The tensor's data will not be read for now: gives the pages of the mapped file back. Reading it
 * again works. Does nothing where the data is no mapping. */
void zm_model_drop_pages(const zm_model *model, const zm_model_tensor *tensor);

/* Is the tensor's data in a mapped file? Else it is a copy. */
bool zm_model_is_mapped(const zm_model *model, const zm_model_tensor *tensor);

/* For one more who reads the data in place: the mapping goes when each of them has closed it. */
zm_model *zm_model_retain(const zm_model *model);

#endif
