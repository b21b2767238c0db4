// SPDX-License-Identifier: Apache-2.0
// The name under which GNUstep's headers look for the Blocks runtime.
#import "../Block.h"
