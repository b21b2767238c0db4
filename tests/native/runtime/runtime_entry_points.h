// SPDX-License-Identifier: Apache-2.0
// The entry points of ARC, as C functions of plain pointers, so that ARC adds nothing around the calls. They have names
// of their own here: under the runtime's, later versions of GNUstep declare some of them for objects.
#pragma once

#define ENTRY_POINT(name) __asm__("objc_" #name)

void *entry_retain(void *object) ENTRY_POINT(retain);
void entry_release(void *object) ENTRY_POINT(release);
void *entry_autorelease(void *object) ENTRY_POINT(autorelease);
void *entry_retainAutorelease(void *object) ENTRY_POINT(retainAutorelease);
void *entry_autoreleaseReturnValue(void *object) ENTRY_POINT(autoreleaseReturnValue);
void *entry_retainAutoreleaseReturnValue(void *object) ENTRY_POINT(retainAutoreleaseReturnValue);
void *entry_retainAutoreleasedReturnValue(void *object) ENTRY_POINT(retainAutoreleasedReturnValue);
void *entry_unsafeClaimAutoreleasedReturnValue(void *object) ENTRY_POINT(unsafeClaimAutoreleasedReturnValue);
void *entry_claimAutoreleasedReturnValue(void *object) ENTRY_POINT(claimAutoreleasedReturnValue);
void entry_storeStrong(void **location, void *object) ENTRY_POINT(storeStrong);
void *entry_retainBlock(void *block) ENTRY_POINT(retainBlock);
void *entry_autoreleasePoolPush(void) ENTRY_POINT(autoreleasePoolPush);
void entry_autoreleasePoolPop(void *pool) ENTRY_POINT(autoreleasePoolPop);

void *entry_initWeak(void **location, void *object) ENTRY_POINT(initWeak);
void *entry_storeWeak(void **location, void *object) ENTRY_POINT(storeWeak);
void *entry_loadWeak(void **location) ENTRY_POINT(loadWeak);
void *entry_loadWeakRetained(void **location) ENTRY_POINT(loadWeakRetained);
void entry_copyWeak(void **destination, void **source) ENTRY_POINT(copyWeak);
void entry_moveWeak(void **destination, void **source) ENTRY_POINT(moveWeak);
void entry_destroyWeak(void **location) ENTRY_POINT(destroyWeak);
