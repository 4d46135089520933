/* SPDX-License-Identifier: Apache-2.0 */
#include "clbench.h"
const zm_cli_command clbench_paper = {.name = "paper", .synopsis = "", .summary = ""};
