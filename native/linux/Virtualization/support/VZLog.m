// SPDX-License-Identifier: Apache-2.0
#import "VZLog+Private.h"
#import <pthread.h>
#import <stdatomic.h>
#import <time.h>

enum { MOST_LINES = 4096, LONGEST_TEXT = 8192 };

static atomic_bool log_is_kept;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER; // guards all that follows
static NSMutableArray<NSArray *> *log_lines;

BOOL VZLogIsKept(void) {
    return atomic_load_explicit(&log_is_kept, memory_order_relaxed);
}

static void add_to_log(NSString *source, NSString *kind, id words) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    NSArray *line = @[ @((double)now.tv_sec + (double)now.tv_nsec / 1e9), source, kind, words ];
    // Let go of outside of the lock.
    NSArray *oldest = nil;
    pthread_mutex_lock(&log_lock);
    // Somebody may want them no longer by now.
    if (VZLogIsKept()) {
        if (log_lines.count == MOST_LINES) {
            oldest = log_lines[0];
            [log_lines removeObjectAtIndex:0];
        }
        [log_lines addObject:line];
    }
    pthread_mutex_unlock(&log_lock);
    (void)oldest;
}

void VZLogText(NSString *source, NSString *kind, NSString *text) {
    if (!VZLogIsKept())
        return;
    // Not in the middle of a character that has two units.
    if (text.length > LONGEST_TEXT)
        text = [text substringToIndex:[text rangeOfComposedCharacterSequenceAtIndex:LONGEST_TEXT].location];
    add_to_log(source, kind, text);
}

void VZLogBytes(NSString *source, NSString *kind, const void *bytes, size_t length) {
    if (!VZLogIsKept())
        return;
    length = MIN(length, (size_t)LONGEST_TEXT);
    // Whatever the bytes are, one by one they are text.
    NSString *text = [[NSString alloc] initWithBytes:bytes length:length encoding:NSUTF8StringEncoding]
                         ?: [[NSString alloc] initWithBytes:bytes length:length encoding:NSISOLatin1StringEncoding];
    add_to_log(source, kind, text);
}

void VZLogWords(NSString *source, NSString *kind, NSArray<NSString *> *words) {
    if (VZLogIsKept())
        add_to_log(source, kind, [words copy]);
}

void VZKeepLog(BOOL keep) {
    NSArray *forgotten = nil;
    pthread_mutex_lock(&log_lock);
    if (keep != VZLogIsKept()) {
        forgotten = log_lines;
        log_lines = keep ? [NSMutableArray array] : nil;
        atomic_store_explicit(&log_is_kept, keep, memory_order_relaxed);
    }
    pthread_mutex_unlock(&log_lock);
    (void)forgotten;
}

NSArray<NSArray *> *VZTakeLog(void) {
    pthread_mutex_lock(&log_lock);
    NSArray *taken = log_lines;
    if (log_lines != nil)
        log_lines = [NSMutableArray array];
    pthread_mutex_unlock(&log_lock);
    return taken ?: @[];
}
