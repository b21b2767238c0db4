// SPDX-License-Identifier: Apache-2.0
#import "VZLog+Private.h"
#import <pthread.h>
#import <stdatomic.h>
#import <time.h>

enum { MOST_LINES = 4096, LONGEST_TEXT = 8192 };

static atomic_bool is_kept;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards all that follows
static NSMutableArray<NSArray *> *lines;

BOOL VZLogIsKept(void) {
    return atomic_load_explicit(&is_kept, memory_order_relaxed);
}

static void add(NSString *source, NSString *kind, id words) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    NSArray *line = @[ @((double)now.tv_sec + (double)now.tv_nsec / 1e9), source, kind, words ];
    // Let go of outside of the lock.
    NSArray *oldest = nil;
    pthread_mutex_lock(&lock);
    // Somebody may want them no longer by now.
    if (VZLogIsKept()) {
        if (lines.count == MOST_LINES) {
            oldest = lines[0];
            [lines removeObjectAtIndex:0];
        }
        [lines addObject:line];
    }
    pthread_mutex_unlock(&lock);
    (void)oldest;
}

void VZLogText(NSString *source, NSString *kind, NSString *text) {
    if (!VZLogIsKept())
        return;
    // Not in the middle of a character that has two units.
    if (text.length > LONGEST_TEXT)
        text = [text substringToIndex:[text rangeOfComposedCharacterSequenceAtIndex:LONGEST_TEXT].location];
    add(source, kind, text);
}

void VZLogBytes(NSString *source, NSString *kind, const void *bytes, size_t length) {
    if (!VZLogIsKept())
        return;
    length = MIN(length, (size_t)LONGEST_TEXT);
    // Whatever the bytes are, one by one they are text.
    NSString *text = [[NSString alloc] initWithBytes:bytes length:length encoding:NSUTF8StringEncoding]
                         ?: [[NSString alloc] initWithBytes:bytes length:length encoding:NSISOLatin1StringEncoding];
    add(source, kind, text);
}

void VZLogWords(NSString *source, NSString *kind, NSArray<NSString *> *words) {
    if (VZLogIsKept())
        add(source, kind, [words copy]);
}

void VZKeepLog(BOOL keep) {
    NSArray *forgotten = nil;
    pthread_mutex_lock(&lock);
    if (keep != VZLogIsKept()) {
        forgotten = lines;
        lines = keep ? [NSMutableArray array] : nil;
        atomic_store_explicit(&is_kept, keep, memory_order_relaxed);
    }
    pthread_mutex_unlock(&lock);
    (void)forgotten;
}

NSArray<NSArray *> *VZTakeLog(void) {
    pthread_mutex_lock(&lock);
    NSArray *taken = lines;
    if (lines != nil)
        lines = [NSMutableArray array];
    pthread_mutex_unlock(&lock);
    return taken ?: @[];
}
