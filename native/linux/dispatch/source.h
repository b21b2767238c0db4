// SPDX-License-Identifier: Apache-2.0
#ifndef DISPATCH_SOURCE_H
#define DISPATCH_SOURCE_H

#include <dispatch/queue.h>
#include <dispatch/time.h>

DISPATCH_DECL(dispatch_source);

DISPATCH_ASSUME_NONNULL_BEGIN

typedef const struct dispatch_source_type_s *dispatch_source_type_t;
DISPATCH_EXPORT const struct dispatch_source_type_s _dispatch_source_type_data_add;
DISPATCH_EXPORT const struct dispatch_source_type_s _dispatch_source_type_data_or;
DISPATCH_EXPORT const struct dispatch_source_type_s _dispatch_source_type_proc;
DISPATCH_EXPORT const struct dispatch_source_type_s _dispatch_source_type_read;
DISPATCH_EXPORT const struct dispatch_source_type_s _dispatch_source_type_signal;
DISPATCH_EXPORT const struct dispatch_source_type_s _dispatch_source_type_timer;
DISPATCH_EXPORT const struct dispatch_source_type_s _dispatch_source_type_write;

/// Handle 0, mask 0; data is the sum, or the union, of what dispatch_source_merge_data was given.
#define DISPATCH_SOURCE_TYPE_DATA_ADD (&_dispatch_source_type_data_add)
#define DISPATCH_SOURCE_TYPE_DATA_OR (&_dispatch_source_type_data_or)
/// Handle: a process identifier; mask: DISPATCH_PROC_EXIT. A process that is gone already counts as exited.
#define DISPATCH_SOURCE_TYPE_PROC (&_dispatch_source_type_proc)
/// Handle: a file descriptor, to be closed in the cancel handler and not before; data: an estimate of the bytes that
/// can be read, 0 at the end of the file.
#define DISPATCH_SOURCE_TYPE_READ (&_dispatch_source_type_read)
/// Handle: a signal's number; data: how often it came since the last invocation of the handler. What the process does
/// with the signal stays what it is: ignore it (`signal(number, SIG_IGN)`, before the source is resumed) where it would
/// end the process.
#define DISPATCH_SOURCE_TYPE_SIGNAL (&_dispatch_source_type_signal)
/// Handle 0, mask 0 or DISPATCH_TIMER_STRICT; data: how often it fired since the last invocation of the handler.
#define DISPATCH_SOURCE_TYPE_TIMER (&_dispatch_source_type_timer)
/// Handle: a file descriptor, as for READ; data: an estimate of the bytes that can be written.
#define DISPATCH_SOURCE_TYPE_WRITE (&_dispatch_source_type_write)

#define DISPATCH_PROC_EXIT 0x80000000
#define DISPATCH_TIMER_STRICT 0x1

/// Inactive until dispatch_activate (or dispatch_resume). NULL if type, handle and mask do not fit together, or if
/// the descriptors that it takes cannot be had (errno). Without a queue, the default global one.
///
/// The caller owns the source: where its last reference goes, a source that was not cancelled stops without a word.
/// One that was cancelled stays until its cancel handler has run.
DISPATCH_EXPORT DISPATCH_RETURNS_RETAINED dispatch_source_t _Nullable dispatch_source_create(
    dispatch_source_type_t type, uintptr_t handle, uintptr_t mask, dispatch_queue_t _Nullable queue);

DISPATCH_EXPORT void dispatch_source_set_event_handler(dispatch_source_t source, dispatch_block_t _Nullable handler);
DISPATCH_EXPORT void dispatch_source_set_event_handler_f(dispatch_source_t source,
                                                         dispatch_function_t _Nullable handler);
/// Runs once, after the last event handler has returned.
DISPATCH_EXPORT void dispatch_source_set_cancel_handler(dispatch_source_t source, dispatch_block_t _Nullable handler);
DISPATCH_EXPORT void dispatch_source_set_cancel_handler_f(dispatch_source_t source,
                                                          dispatch_function_t _Nullable handler);
DISPATCH_EXPORT void dispatch_source_set_registration_handler(dispatch_source_t source,
                                                              dispatch_block_t _Nullable handler);
DISPATCH_EXPORT void dispatch_source_set_registration_handler_f(dispatch_source_t source,
                                                                dispatch_function_t _Nullable handler);

DISPATCH_EXPORT void dispatch_source_cancel(dispatch_source_t source);
DISPATCH_EXPORT intptr_t dispatch_source_testcancel(dispatch_source_t source);
DISPATCH_EXPORT uintptr_t dispatch_source_get_handle(dispatch_source_t source);
DISPATCH_EXPORT uintptr_t dispatch_source_get_mask(dispatch_source_t source);
/// Meaningful inside the event handler.
DISPATCH_EXPORT uintptr_t dispatch_source_get_data(dispatch_source_t source);
DISPATCH_EXPORT void dispatch_source_merge_data(dispatch_source_t source, uintptr_t value);

/// An interval of DISPATCH_TIME_FOREVER fires once, 0 counts as 1 ns. The leeway is permission, not used.
DISPATCH_EXPORT void dispatch_source_set_timer(dispatch_source_t source, dispatch_time_t start, uint64_t interval,
                                               uint64_t leeway);

DISPATCH_ASSUME_NONNULL_END

#endif
