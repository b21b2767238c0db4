// SPDX-License-Identifier: Apache-2.0
// What the programs' files share that libFuzzer makes inputs for.
#ifndef FUZZ_H
#define FUZZ_H

#import <Foundation/Foundation.h>
#import <stdint.h>
#import <stdio.h>
#import <stdlib.h>

NS_ASSUME_NONNULL_BEGIN

static inline void hold(BOOL condition, const char *what) {
    if (condition)
        return;
    fprintf(stderr, "%s does not hold\n", what);
    abort();
}
#define HOLD(condition) hold((condition), #condition)

/// Looks at all that is in what was read as JSON.
void look_through(id _Nullable value, unsigned depth);

/// Looks at the words of an error, if there is one: they are text, and not without an end.
void look_at_error(NSError *_Nullable error);

/// A file with those bytes, and its descriptor. It is the same file each time.
int file_of(const void *bytes, size_t length, NSString *_Nullable *_Nullable path);

/// The text that the bytes are; nil where they are none.
NSString *_Nullable text_of(const uint8_t *bytes, size_t length);

// conversations.m

void read_qmp(const uint8_t *bytes, size_t length);
void read_agent(const uint8_t *bytes, size_t length);

// answers.m

void read_answers(const uint8_t *bytes, size_t length);

// calls.m

void read_calls(const uint8_t *bytes, size_t length);

NS_ASSUME_NONNULL_END

#endif
