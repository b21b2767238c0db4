// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"

// The pipe on which a waiting thread sleeps. poll() ends on a completion, on a time-out and, unlike a condition
// variable, on a signal, so that Ctrl-C works while a call waits. A thread takes a pipe for as long as it waits.

typedef struct applevz_wake_pipe {
    struct applevz_wake_pipe *next; /* for whoever holds it: in the pool or in an operation's list of waiters */
    int reading;                    /* -1 in a pipe that the process had no descriptors left for */
    int writing;
} applevz_wake_pipe;

/// A pipe for waking: neither end blocks, and neither is inherited by a program that is started. False with errno set.
bool applevz_wake_pipe_open(int descriptors[2]);

/// Makes sure that one is in the pool, so that a process that runs out of descriptors later can still wait.
void applevz_wake_pipe_prepare(void);

/// From the pool, or new. If there are no descriptors, one whose sleep looks again every few milliseconds.
applevz_wake_pipe *applevz_wake_pipe_take(void);

/// Empties it and puts it back.
void applevz_wake_pipe_put_back(applevz_wake_pipe *wake_pipe);

/// Until woken, `seconds` passed (negative: no limit) or a signal was handled. It may return COMPLETED early: look
/// again.
enum applevz_wait_result applevz_wake_pipe_sleep(applevz_wake_pipe *wake_pipe, double seconds);

void applevz_wake_pipe_wake(applevz_wake_pipe *wake_pipe);
