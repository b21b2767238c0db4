// SPDX-License-Identifier: Apache-2.0
#ifndef DISPATCH_GROUP_CORE_H
#define DISPATCH_GROUP_CORE_H

#include "object_core.h"

struct group;

void group_enter(struct group *group);
void group_leave(struct group *group);

#endif
