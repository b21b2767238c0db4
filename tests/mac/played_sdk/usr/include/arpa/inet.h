// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <netinet/in.h>

const char *inet_ntop(int family, const void *address, char *text, socklen_t size);
int inet_pton(int family, const char *text, void *address);
