// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stddef.h>

typedef struct objc_class *Class;

Class object_getClass(id object);
