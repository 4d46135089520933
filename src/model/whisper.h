/* SPDX-License-Identifier: Apache-2.0 */
/* Whisper (Radford et al. 2022, arXiv 2212.04356) under the names of Hugging Face. */
#ifndef ZM_SRC_MODEL_WHISPER_H
#define ZM_SRC_MODEL_WHISPER_H

#include "model/architecture.h"

extern const zm_architecture_desc zm_architecture_whisper;

#endif
