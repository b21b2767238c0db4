// SPDX-License-Identifier: Apache-2.0
#import "causes.h"

/// The verb that the machine is in the middle of; HOST in a state that lasts.
static enum applevz_event_cause verb_of(enum applevz_machine_state state) {
    switch (state) {
    case APPLEVZ_MACHINE_STATE_STARTING:
        return APPLEVZ_EVENT_CAUSE_START;
    case APPLEVZ_MACHINE_STATE_PAUSING:
        return APPLEVZ_EVENT_CAUSE_PAUSE;
    case APPLEVZ_MACHINE_STATE_RESUMING:
        return APPLEVZ_EVENT_CAUSE_RESUME;
    case APPLEVZ_MACHINE_STATE_STOPPING:
        return APPLEVZ_EVENT_CAUSE_STOP;
    case APPLEVZ_MACHINE_STATE_SAVING:
        return APPLEVZ_EVENT_CAUSE_SAVE;
    case APPLEVZ_MACHINE_STATE_RESTORING:
        return APPLEVZ_EVENT_CAUSE_RESTORE;
    case APPLEVZ_MACHINE_STATE_STOPPED:
    case APPLEVZ_MACHINE_STATE_RUNNING:
    case APPLEVZ_MACHINE_STATE_PAUSED:
    case APPLEVZ_MACHINE_STATE_ERROR:
        break;
    }
    return APPLEVZ_EVENT_CAUSE_HOST;
}

static bool is_lasting(enum applevz_machine_state state) {
    return verb_of(state) == APPLEVZ_EVENT_CAUSE_HOST;
}

enum applevz_event_cause applevz_cause_of_change(enum applevz_machine_state before, enum applevz_machine_state state) {
    if (!is_lasting(state))
        return verb_of(state);
    // These two lead back to where the machine was, if they fail: stopped, or in error.
    if (before == APPLEVZ_MACHINE_STATE_STARTING || before == APPLEVZ_MACHINE_STATE_RESTORING)
        return verb_of(before);
    if (state == APPLEVZ_MACHINE_STATE_ERROR || before == APPLEVZ_MACHINE_STATE_ERROR)
        return APPLEVZ_EVENT_CAUSE_HOST;
    if (state == APPLEVZ_MACHINE_STATE_STOPPED && before != APPLEVZ_MACHINE_STATE_STOPPING)
        return APPLEVZ_EVENT_CAUSE_GUEST;
    return verb_of(before);
}

bool applevz_change_may_have_error(enum applevz_machine_state before, enum applevz_machine_state state) {
    return is_lasting(state) && (!is_lasting(before) || state == APPLEVZ_MACHINE_STATE_ERROR) &&
           applevz_cause_of_change(before, state) != APPLEVZ_EVENT_CAUSE_GUEST;
}
