// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"

// Who is behind a change of state. The framework does not say, but each verb has a state of its own that it goes through,
// and what ends a machine's life from another state was not asked for.

enum applevz_event_cause applevz_cause_of_change(enum applevz_machine_state before, enum applevz_machine_state state);

/// Whether it may be the end of a verb that failed, or of the machine by an error.
bool applevz_change_may_have_error(enum applevz_machine_state before, enum applevz_machine_state state);
