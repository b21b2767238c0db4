// SPDX-License-Identifier: Apache-2.0
#import "refusals.h"
#import "applevz.h"
#import "guard.h"
#import <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static NSMutableArray<NSError *> *refusals; // under the lock; nil where nobody asked for them

void applevz_note_refusal(NSError *error) {
    if (error == nil)
        return;
    pthread_mutex_lock(&lock);
    if (refusals.count == APPLEVZ_REFUSAL_CAPACITY)
        [refusals removeObjectAtIndex:0];
    [refusals addObject:error];
    pthread_mutex_unlock(&lock);
}

CFErrorRef applevz_keep_refusals(bool keep) {
    return applevz_guard(^NSError *_Nullable {
        NSMutableArray<NSError *> *kept = keep ? [NSMutableArray array] : nil;
        pthread_mutex_lock(&lock);
        NSMutableArray<NSError *> *before = refusals;
        refusals = kept;
        pthread_mutex_unlock(&lock);
        // What it held ends here, without the lock.
        [before removeAllObjects];
        return nil;
    });
}

CFErrorRef applevz_next_refusal(void) {
    return applevz_guard(^NSError *_Nullable {
        pthread_mutex_lock(&lock);
        NSError *oldest = refusals.firstObject;
        if (oldest != nil)
            [refusals removeObjectAtIndex:0];
        pthread_mutex_unlock(&lock);
        return oldest;
    });
}
