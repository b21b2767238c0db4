// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_ENVIRONMENT_H
#define HOST_ENVIRONMENT_H

#include <stddef.h>

/// What a program that is started gets of this process' environment: what it takes to be found, to speak the user's
/// language and to reach his sound server, and the variables that are named for it (APPLEVZ_QEMU_…). Nothing else: the
/// host program's secrets are often there, and a guest that took QEMU over would read them. A program that has a folder
/// lib/qemu beside it is a QEMU that was moved as a whole, and is told that its modules are there. The list is the
/// caller's to free, and with it what is not the environment's own in it; behind its end is room for more entries. NULL
/// without memory.
char **host_environment_of_child(const char *program, size_t room);

#endif
