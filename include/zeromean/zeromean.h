/* SPDX-License-Identifier: Apache-2.0 */
/* Everything. */
#ifndef ZEROMEAN_ZEROMEAN_H
#define ZEROMEAN_ZEROMEAN_H

#include <zeromean/audio.h>
#include <zeromean/block.h>
#include <zeromean/chat.h>
#include <zeromean/check.h>
#include <zeromean/common.h>
#include <zeromean/convert.h>
#include <zeromean/device.h>
#include <zeromean/generate.h>
#include <zeromean/graph.h>
#include <zeromean/image.h>
#include <zeromean/log.h>
#include <zeromean/metadata.h>
#include <zeromean/model.h>
#include <zeromean/ops.h>
#include <zeromean/pipeline.h>
#include <zeromean/session.h>
#include <zeromean/text.h>
#include <zeromean/transcribe.h>

#endif
