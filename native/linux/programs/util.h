// SPDX-License-Identifier: Apache-2.0
// <util.h>: where macOS declares pseudo-terminals.
#ifndef APPLEVZ_UTIL_H
#define APPLEVZ_UTIL_H

#include <pty.h>
#include <sys/types.h>
#include <termios.h>
#include <utmp.h>

#endif
