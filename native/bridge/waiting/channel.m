// SPDX-License-Identifier: Apache-2.0
#import "channel.h"
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "boundary/ownership.h"
#import "wake_pipe.h"
#import <errno.h>
#import <pthread.h>
#import <unistd.h>

// The lock of an operation may be held when a channel's is taken, never the other way round: a channel calls nobody.
@implementation AppleVZChannel {
    pthread_mutex_t _lock; // guards all that follows, and the announcements that are queued
    int _reading;
    int _writing; // -1 once closed
    applevz_announcement *_first;
    applevz_announcement *_last;
    BOOL _woken; // one byte is in the pipe, however many announcements are
}

- (instancetype)initWithError:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    pthread_mutex_init(&_lock, NULL);
    int descriptors[2];
    if (applevz_wake_pipe_open(descriptors)) {
        _reading = descriptors[0];
        _writing = descriptors[1];
        return self;
    }
    _reading = _writing = -1;
    *error = applevz_posix_error(errno);
    return nil;
}

- (void)dealloc {
    [self close];
    pthread_mutex_destroy(&_lock);
}

- (int)descriptor {
    pthread_mutex_lock(&_lock);
    int descriptor = _reading;
    pthread_mutex_unlock(&_lock);
    return descriptor;
}

/// Under the lock.
- (void)remove:(applevz_announcement *)announcement {
    if (announcement->previous != NULL)
        announcement->previous->next = announcement->next;
    else
        _first = announcement->next;
    if (announcement->next != NULL)
        announcement->next->previous = announcement->previous;
    else
        _last = announcement->previous;
    announcement->next = announcement->previous = NULL;
    announcement->queued = false;
}

- (void)enqueue:(applevz_announcement *)announcement {
    pthread_mutex_lock(&_lock);
    if (_writing >= 0) {
        announcement->queued = true;
        announcement->previous = _last;
        if (_last != NULL)
            _last->next = announcement;
        else
            _first = announcement;
        _last = announcement;
        if (!_woken) {
            // The pipe is empty, so it takes a byte. Under the lock: close cannot come between.
            _woken = YES;
            while (write(_writing, "", 1) < 0 && errno == EINTR)
                continue;
        }
    }
    pthread_mutex_unlock(&_lock);
}

- (void)withdraw:(applevz_announcement *)announcement {
    pthread_mutex_lock(&_lock);
    if (announcement->queued)
        [self remove:announcement];
    pthread_mutex_unlock(&_lock);
}

- (BOOL)takeToken:(uint64_t *)token {
    pthread_mutex_lock(&_lock);
    BOOL taken = _first != NULL;
    if (taken) {
        *token = _first->token;
        [self remove:_first];
    } else if (_woken && _reading >= 0) {
        // Only now: whoever takes a part of a batch finds the descriptor readable still.
        char discarded;
        while (read(_reading, &discarded, 1) < 0 && errno == EINTR)
            continue;
        _woken = NO;
    }
    pthread_mutex_unlock(&_lock);
    return taken;
}

- (void)close {
    pthread_mutex_lock(&_lock);
    while (_first != NULL)
        [self remove:_first];
    if (_writing >= 0) {
        close(_reading);
        close(_writing);
        _reading = _writing = -1;
    }
    pthread_mutex_unlock(&_lock);
}

@end

CFErrorRef applevz_channel_create(applevz_channel **channel) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        AppleVZChannel *object = [[AppleVZChannel alloc] initWithError:&error];
        if (object == nil)
            return error;
        *channel = applevz_hand_over_handle(object);
        return nil;
    });
}

void applevz_channel_release(applevz_channel *channel) {
    applevz_guard_infallible(^{
        // Operations may hold the object for a while yet; they find it closed.
        [(AppleVZChannel *)applevz_take_back_handle(channel) close];
    });
}

int applevz_channel_descriptor(applevz_channel *channel) {
    if (applevz_machines_were_inherited())
        return -1;
    return applevz_borrowed(AppleVZChannel, channel).descriptor;
}

bool applevz_channel_next(applevz_channel *channel, uint64_t *token) {
    // The pipe of a forked child is its parent's too, and what is in it is the parent's to read.
    if (applevz_machines_were_inherited())
        return false;
    return [applevz_borrowed(AppleVZChannel, channel) takeToken:token];
}
