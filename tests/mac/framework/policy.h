// SPDX-License-Identifier: Apache-2.0
// What the files of the played Mac share. They are linked behind the whole library, for tests alone, and put methods of
// their own in the place of those of the classes, as a policy says: the JSON object in APPLEVZ_PLAYED_MAC. Its keys are
// described in tests/played_mac.py.
//
// Each topic is a file. It replaces methods in a constructor: all classes are there before the first of these runs.
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

/// What the policy says; nil where it says nothing of it. A value of another kind ends the process.
NSString *_Nullable played_mac_text(NSString *key);
NSNumber *_Nullable played_mac_number(NSString *key);
NSDictionary<NSString *, id> *_Nullable played_mac_object(NSString *key);

/// Whether the policy has that text for the key.
BOOL played_mac_is(NSString *key, NSString *text);

/// Puts the function in the place of the method that the class has or inherits, for this class and those that inherit
/// it from there. Gives what was there, to be called by the function. A method that is missing ends the process.
IMP played_mac_replace(Class class_, SEL selector, IMP function);
IMP played_mac_replace_class_method(Class class_, SEL selector, IMP function);

/// An implementation by its real type, and the other way round.
#define PLAYED_MAC_FUNCTION(function) ((IMP)(void (*)(void))(function))
#define PLAYED_MAC_METHOD(type, method) ((type)(void (*)(void))(method))

/// Calls a completion handler as the policy's "completion" says, on a machine's queue, which the caller is on.
void played_mac_complete(dispatch_queue_t queue, dispatch_block_t completion);

/// Runs the block so many turns of the queue later, which is at once for 0.
void played_mac_after_turns(dispatch_queue_t queue, NSInteger turns, dispatch_block_t block);

/// Runs the block on the queue, once the file is there whose path the policy has for the key; where it has none, soon.
void played_mac_when_allowed(NSString *key, dispatch_queue_t queue, dispatch_block_t block);

/// Ends the process with these words.
_Noreturn void played_mac_fail(NSString *format, ...) NS_FORMAT_FUNCTION(1, 2);

NS_ASSUME_NONNULL_END
