// SPDX-License-Identifier: Apache-2.0
#include "causes.h"

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

bool applevz_state_lasts(enum applevz_machine_state state) {
    return verb_of(state) == APPLEVZ_EVENT_CAUSE_HOST;
}

enum applevz_event_cause applevz_cause_of_change(enum applevz_machine_state before, enum applevz_machine_state state) {
    if (!applevz_state_lasts(state))
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

enum applevz_machine_state applevz_goal_of(enum applevz_machine_state passing) {
    switch (passing) {
    case APPLEVZ_MACHINE_STATE_STARTING:
    case APPLEVZ_MACHINE_STATE_RESUMING:
        return APPLEVZ_MACHINE_STATE_RUNNING;
    case APPLEVZ_MACHINE_STATE_PAUSING:
    case APPLEVZ_MACHINE_STATE_SAVING:
    case APPLEVZ_MACHINE_STATE_RESTORING:
        return APPLEVZ_MACHINE_STATE_PAUSED;
    case APPLEVZ_MACHINE_STATE_STOPPING:
        return APPLEVZ_MACHINE_STATE_STOPPED;
    case APPLEVZ_MACHINE_STATE_STOPPED:
    case APPLEVZ_MACHINE_STATE_RUNNING:
    case APPLEVZ_MACHINE_STATE_PAUSED:
    case APPLEVZ_MACHINE_STATE_ERROR:
        break;
    }
    return passing;
}

bool applevz_change_may_have_error(enum applevz_machine_state before, enum applevz_machine_state state) {
    if (!applevz_state_lasts(state) || applevz_cause_of_change(before, state) == APPLEVZ_EVENT_CAUSE_GUEST)
        return false;
    if (state == APPLEVZ_MACHINE_STATE_ERROR)
        return true;
    // A verb that reached its goal has none. Saving leads back to where it began, whether it failed or not.
    return !applevz_state_lasts(before) && (state != applevz_goal_of(before) || before == APPLEVZ_MACHINE_STATE_SAVING);
}
