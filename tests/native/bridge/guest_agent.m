// SPDX-License-Identifier: Apache-2.0
// The host's end of a guest's agent, with a guest that says what it likes.
#import "guest/guest_agent.h"
#import "../checks.h"
#import <dispatch/dispatch.h>
#import <fcntl.h>
#import <stdlib.h>
#import <string.h>
#import <unistd.h>

enum { STEP_MILLISECONDS = 1, STEPS = 60 * 1000 };

/// A machine that was restored and runs, and its guest's end of the port.
@interface Conversation : NSObject
@property (readonly) AppleVZGuestAgent *agent;
@property (readonly) dispatch_queue_t queue;
@property (readonly) int end;
@property unsigned told;
@property NSError *error;
@end

@implementation Conversation {
    VZFileHandleSerialPortAttachment *_attachment;
}

- (instancetype)init {
    self = [super init];
    NSError *error = nil;
    _agent = [[AppleVZGuestAgent alloc] initWithError:&error];
    _queue = dispatch_queue_create("machine", DISPATCH_QUEUE_SERIAL);
    _attachment = (VZFileHandleSerialPortAttachment *)_agent.attachment;
    _end = _attachment.fileHandleForWriting.fileDescriptor;
    fcntl(_end, F_SETFL, O_NONBLOCK);
    __weak Conversation *weak_self = self;
    [_agent attachToQueue:_queue
             clockHandler:^(NSError *failure) {
                 weak_self.told++;
                 weak_self.error = failure;
             }];
    return self;
}

- (void)restore {
    dispatch_sync(_queue, ^{
        [self.agent stateChangedFrom:APPLEVZ_MACHINE_STATE_RUNNING to:APPLEVZ_MACHINE_STATE_STOPPED];
        [self.agent stateChangedFrom:APPLEVZ_MACHINE_STATE_RESTORING to:APPLEVZ_MACHINE_STATE_PAUSED];
        [self.agent stateChangedFrom:APPLEVZ_MACHINE_STATE_RESUMING to:APPLEVZ_MACHINE_STATE_RUNNING];
    });
}

/// What the host asks, once it does.
- (NSString *)heard {
    char bytes[4096];
    ssize_t count = -1;
    for (int i = 0; i < STEPS && count < 0; i++) {
        count = read(_end, bytes, sizeof bytes);
        if (count < 0)
            usleep(1000 * STEP_MILLISECONDS);
    }
    CHECK(count > 0);
    return [[NSString alloc] initWithBytes:bytes length:(NSUInteger)count encoding:NSISOLatin1StringEncoding];
}

/// The bytes that were taken, until nothing is taken for long or the host has told of the end.
- (size_t)say:(const void *)bytes length:(size_t)length {
    size_t said = 0;
    for (int idle = 0; said < length && idle < 500;) {
        ssize_t count = write(_end, (const char *)bytes + said, length - said);
        if (count > 0) {
            said += (size_t)count;
            idle = 0;
        } else {
            idle++;
            usleep(1000);
        }
    }
    return said;
}

- (void)say:(NSString *)text {
    NSData *data = [text dataUsingEncoding:NSUTF8StringEncoding];
    CHECK([self say:data.bytes length:data.length] == data.length);
}

- (void)awaitTold:(unsigned)count {
    __block unsigned told = 0;
    for (int i = 0; i < STEPS && told < count; i++) {
        dispatch_sync(_queue, ^{
            told = self.told;
        });
        usleep(1000 * STEP_MILLISECONDS);
    }
    CHECK(told == count);
}

/// Answers what synchronizes, up to the request that sets the clock.
- (void)synchronize {
    NSString *request = self.heard;
    NSRange place = [request rangeOfString:@"\"id\":"];
    CHECK(place.location != NSNotFound);
    NSScanner *scanner = [NSScanner scannerWithString:[request substringFromIndex:NSMaxRange(place)]];
    NSString *number = nil;
    [scanner scanCharactersFromSet:NSCharacterSet.decimalDigitCharacterSet intoString:&number];
    [self say:"\xFF" length:1];
    [self say:[NSString stringWithFormat:@"{\"return\": %@}\n", number]];
    CHECK([self.heard rangeOfString:@"guest-set-time"].location != NSNotFound);
}

@end

static void an_agent_that_answers_is_heard(void) {
    Conversation *conversation = [[Conversation alloc] init];
    for (unsigned i = 1; i <= 2; i++) {
        [conversation restore];
        [conversation synchronize];
        [conversation say:@"{\"return\": {}}\n"];
        [conversation awaitTold:i];
        CHECK(conversation.error == nil);
    }
}

/// In what is said before, and in what is no answer, anything may stand.
static void what_nests_without_end_is_no_answer(void) {
    Conversation *conversation = [[Conversation alloc] init];
    [conversation restore];
    char deep[20000];
    memset(deep, '[', sizeof deep);
    deep[sizeof deep - 1] = '\n';
    CHECK([conversation say:deep length:sizeof deep] == sizeof deep);
    [conversation
        say:@"{\"return\": []}\n{\"return\": {\"a\": 1}}\n{\"return\": 1e300}\n{\"return\": true}\n[]\n\n7\n"];
    [conversation synchronize];
    CHECK([conversation say:deep length:sizeof deep] == sizeof deep);
    [conversation say:@"{\"error\": []}\n"];
    [conversation awaitTold:1];
    CHECK([conversation.error.localizedFailureReason isEqualToString:@"The guest's agent said: nothing of use."]);
}

static void words_are_shown_without_controls_and_short(void) {
    Conversation *conversation = [[Conversation alloc] init];
    [conversation restore];
    [conversation synchronize];
    NSString *words = [@"" stringByPaddingToLength:30000 withString:@"\\u001b]0;owned\\u0007" startingAtIndex:0];
    [conversation say:[NSString stringWithFormat:@"{\"error\": {\"desc\": \"%@\"}}\n", words]];
    [conversation awaitTold:1];
    NSString *reason = conversation.error.localizedFailureReason;
    CHECK([reason hasPrefix:@"The guest's agent said: \\u001b]0;owned\\u0007"]);
    CHECK([reason rangeOfString:@"\x1b"].location == NSNotFound && reason.length < 3000);
}

/// In short lines, in one without an end, in answers to what was not asked; before it is synchronized, and after.
static void an_agent_that_floods_is_not_heard_any_longer(void) {
    for (const char *const *line = (const char *const[]){"{}\n", "x", "{\"return\": 1}\n", "\n", "[[[[\n", NULL};
         *line != NULL; line++)
        for (int synchronized = 0; synchronized < 2; synchronized++) {
            if (synchronized && strstr(*line, "return") != NULL)
                continue; // is an answer
            Conversation *conversation = [[Conversation alloc] init];
            [conversation restore];
            if (synchronized)
                [conversation synchronize];
            NSMutableData *flood = [NSMutableData data];
            while (flood.length < 4 << 20)
                [flood appendBytes:*line length:strlen(*line)];
            // What is taken is what is heard, and what the socket holds.
            CHECK([conversation say:flood.bytes length:flood.length] < 2 << 20);
            [conversation awaitTold:1];
            CHECK([conversation.error.localizedFailureReason rangeOfString:@"said more than 65536 bytes"].location !=
                  NSNotFound);
            // The next conversation begins anew.
            [conversation restore];
            [conversation say:@"\n"];
            while ([conversation.heard rangeOfString:@"guest-sync"].location == NSNotFound)
                continue;
        }
}

int main(void) {
    @autoreleasepool {
        an_agent_that_answers_is_heard();
        what_nests_without_end_is_no_answer();
        words_are_shown_without_controls_and_short();
        an_agent_that_floods_is_not_heard_any_longer();
    }
    return 0;
}
