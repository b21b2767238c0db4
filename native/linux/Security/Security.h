// SPDX-License-Identifier: Apache-2.0
// <Security/Security.h>: the part of it that this project calls.
#ifndef APPLEVZ_SECURITY_H
#define APPLEVZ_SECURITY_H

#include <Security/SecTask.h>

#endif
