// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"

// The cause of a change of state: a verb, the guest or the host. The framework does not name it. But each verb goes
// through a state of its own, and a machine that ends from any other state was not asked to.

enum applevz_event_cause applevz_cause_of_change(enum applevz_machine_state before, enum applevz_machine_state state);

/// Whether the machine stays in it until something is done or happens.
bool applevz_state_lasts(enum applevz_machine_state state);

/// Where a verb leads through a state that does not last, unless it fails; any other state itself.
enum applevz_machine_state applevz_goal_of(enum applevz_machine_state passing);

/// Whether it may be the end of a verb that failed, or of the machine by an error.
bool applevz_change_may_have_error(enum applevz_machine_state before, enum applevz_machine_state state);
