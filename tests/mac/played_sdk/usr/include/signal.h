// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

int kill(pid_t process, int signal);
