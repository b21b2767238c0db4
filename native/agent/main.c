// SPDX-License-Identifier: Apache-2.0
// The agent's command line and its one loop.

#include "agent.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// So many milliseconds are not too long for anybody, and no less than the kernel's own tick, as a rule.
enum { EVENTS_AT_ONCE = 64, MOMENT = 4 };

/// Blocks all signals but those of the agent's own faults: a port or a pipe that is closed is an error of write, and an
/// init's word to all processes is not for the agent. None is ignored, by whoever started the agent either: a process
/// would inherit that, and each would take a call to undo, where one call undoes the blocking of all.
static bool block_signals(void) {
    static const int faults[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS};
    // The kernel's own calls: the library's refuse the signals that it keeps to itself. The kernel's structure is four
    // words at most, the action is its first; all zero it is the default action.
    static const unsigned long default_action[4];
    for (int number = 1; number <= KERNEL_SIGNALS; number++) {
        unsigned long action[4];
        if (syscall(SYS_rt_sigaction, number, NULL, action, KERNEL_SIGNALS / 8) == 0 &&
            action[0] == (unsigned long)SIG_IGN) {
            (void)syscall(SYS_rt_sigaction, number, default_action, NULL, KERNEL_SIGNALS / 8);
        }
    }
    uint64_t blocked = UINT64_MAX;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        blocked &= ~(UINT64_C(1) << (faults[i] - 1));
    }
    return syscall(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, NULL, sizeof blocked) == 0;
}

/// Those that come from the epoll.
static sigset_t watched_signals(const struct agent *agent) {
    sigset_t watched;
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    if (!agent->follows_root) {
        sigaddset(&watched, SIGTERM);
    }
    return watched;
}

/// Waits for the port. Nothing was begun yet: a service is killed there as other programs are.
static int wait_to_be_needed(const struct agent *agent) {
    sigset_t termination;
    sigemptyset(&termination);
    if (!agent->follows_root) {
        sigaddset(&termination, SIGTERM);
    }
    sigprocmask(SIG_UNBLOCK, &termination, NULL);
    int descriptor = wait_for_port(agent);
    sigprocmask(SIG_BLOCK, &termination, NULL);
    return descriptor;
}

/// What must be there before anything is served. Returns false with errno.
static bool prepare(struct agent *agent) {
    sigset_t watched = watched_signals(agent);
    if (!block_signals()) {
        return false;
    }
    // What processes expect, too.
    umask(022);
    // Each process has up to three descriptors here.
    if (getrlimit(RLIMIT_NOFILE, &agent->files) == 0) {
        struct rlimit more = {.rlim_cur = agent->files.rlim_max, .rlim_max = agent->files.rlim_max};
        struct rlimit most = {.rlim_cur = 65536, .rlim_max = 65536};
        if (agent->files.rlim_max >= most.rlim_max || setrlimit(RLIMIT_NOFILE, &most) != 0) {
            (void)setrlimit(RLIMIT_NOFILE, &more);
        }
    }
    agent->signals = signalfd(-1, &watched, SFD_NONBLOCK | SFD_CLOEXEC);
    agent->events = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &agent->signals};
    return agent->signals >= 0 && agent->events >= 0 &&
           epoll_ctl(agent->events, EPOLL_CTL_ADD, agent->signals, &event) == 0;
}

/// Descriptors 0 to 2 are never anything of the agent's: the null device is there where nothing was.
static bool fill_null(struct agent *agent) {
    do {
        agent->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (agent->null >= 0 && agent->null < 3 && fcntl(agent->null, F_SETFD, 0) == 0);
    if (agent->null < 0) {
        // An initial file system has none, but for the one that was made for descriptor 0.
        agent->null = fcntl(0, F_DUPFD_CLOEXEC, 3);
    }
    return agent->null >= 3;
}

/// Returns whether it is of a process that is about to end: it has closed a pipe.
static bool take_event(struct agent *agent, const struct epoll_event *event) {
    bool readable = event->events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP | EPOLLERR);
    bool writable = event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR);
    if (event->data.ptr == &agent->signals) {
        // There are no more: each of the two waits once.
        struct signalfd_siginfo came[2];
        ssize_t length = read(agent->signals, came, sizeof came);
        for (ssize_t i = 0; i < length / (ssize_t)sizeof came[0]; i++) {
            // A service that is stopped leaves nothing but what was detached.
            if (came[i].ssi_signo == SIGTERM) {
                agent->is_asked_to_end = agent->port.ended = true;
            }
        }
        processes_reap(agent);
    } else if (event->data.ptr == &agent->port) {
        agent->port.readable |= readable;
        agent->port.writable |= writable;
    } else {
        struct end *end = event->data.ptr;
        end->readable |= readable;
        end->writable |= writable;
        stream_wake(agent, end->stream);
        return end->stream->kind == PROCESS && !end->stream->reaped && event->events & EPOLLHUP;
    }
    return false;
}

/// A process that ends wakes the agent for each pipe that it closes, and would be held up each time. If there is
/// nothing else to be done, the agent sleeps until it has ended, for a moment at most, and sees all of that at once.
static void wait_for_end(struct agent *agent) {
    const struct timespec moment = {.tv_nsec = MOMENT * 1000000};
    sigset_t ended;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    if (sigtimedwait(&ended, NULL, &moment) == SIGCHLD) {
        processes_reap(agent);
    }
}

/// Waits for events, and takes them.
static void take_events(struct agent *agent, int timeout) {
    struct epoll_event events[EVENTS_AT_ONCE];
    bool ending = false;
    int count = epoll_wait(agent->events, events, EVENTS_AT_ONCE, timeout);
    for (int i = 0; i < count; i++) {
        ending |= take_event(agent, &events[i]);
    }
    if (count == 0 && timeout == MOMENT) {
        agent->port.hurries = true;
    }
    if (ending && agent->streams == 1) {
        wait_for_end(agent);
        count = epoll_wait(agent->events, events, EVENTS_AT_ONCE, 0);
        for (int i = 0; i < count; i++) {
            (void)take_event(agent, &events[i]);
        }
    }
}

/// Acts on what came, as long as there is room for the answers.
static void take_frames(struct agent *agent) {
    // What one frame is answered with has at most the length of a frame.
    agent->port.holds_frames = true;
    while (port_pending(&agent->port) <= OUTPUT_SHARE) {
        struct frame frame;
        uint8_t nonce[NONCE_LENGTH];
        uint32_t version, killed, closed;
        switch (port_next(&agent->port, &frame, nonce, &version)) {
        case CAME_NOTHING:
            agent->port.holds_frames = false;
            return;
        case CAME_FRAME:
            streams_handle(agent, &frame);
            break;
        case CAME_BEGINNING:
            streams_end_all(agent, &killed, &closed);
            port_begin(&agent->port, nonce, version, killed, closed);
            break;
        }
    }
}

/// Whether something can be done without waiting for an event.
static bool busy(const struct agent *agent) {
    const struct port *port = &agent->port;
    bool blocked = port_pending(port) > 0 && !port->writable;
    bool takes_frames = port_pending(port) <= OUTPUT_SHARE;
    return ((port->readable || port->holds_frames) && takes_frames) || (agent->first_ready != NULL && !blocked);
}

static bool watch_port(struct agent *agent, int operation) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = &agent->port};
    if (agent->port.watched_for_room) {
        event.events |= EPOLLOUT;
    }
    return epoll_ctl(agent->events, operation, agent->port.descriptor, &event) == 0;
}

/// Has the epoll tell of room in the port as long as that is of use.
static void watch_for_room(struct agent *agent) {
    struct port *port = &agent->port;
    bool pending = port_pending(port) > 0;
    if (pending ? !port->writable && !port->watched_for_room : port->watched_for_room && port->writable) {
        port->watched_for_room = pending;
        // It tells of room that came meanwhile, too.
        port->ended |= !watch_port(agent, EPOLL_CTL_MOD);
    }
}

/// For how many milliseconds events are waited for.
static int timeout(const struct agent *agent) {
    if (busy(agent)) {
        return 0;
    }
    // What waits to be sent and does not hurry is sent after a moment.
    return port_pending(&agent->port) > 0 && !agent->port.hurries ? MOMENT : -1;
}

/// Serves the port until it ends.
static void serve(struct agent *agent) {
    if (!watch_port(agent, EPOLL_CTL_ADD)) {
        return;
    }
    port_flush(&agent->port);
    while (!agent->port.ended) {
        take_events(agent, timeout(agent));
        port_fill(&agent->port);
        take_frames(agent);
        streams_run(agent);
        if (agent->port.hurries) {
            port_flush(&agent->port);
        }
        watch_for_room(agent);
        streams_bury(agent);
    }
    uint32_t killed, closed;
    streams_end_all(agent, &killed, &closed);
    close(agent->port.descriptor);
}

static int usage(void) {
    fputs("usage: guest-agent [--descriptor N | --port PATH | --version]\n", stderr);
    return 2;
}

/// What the command line says of the port: its descriptor, -1 where it is to be looked for, -2 where that is wrong.
static int given_port(int count, char **arguments, bool *ends) {
    *ends = false;
    if (count == 1) {
        return -1;
    }
    if (count != 3) {
        return -2;
    }
    if (strcmp(arguments[1], "--port") == 0) {
        int descriptor = open(arguments[2], O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (descriptor < 0) {
            perror(arguments[2]);
        }
        return descriptor < 0 ? -2 : descriptor;
    }
    char *rest;
    long number = strtol(arguments[2], &rest, 10);
    if (strcmp(arguments[1], "--descriptor") != 0 || *rest != '\0' || number < 3 || number > 65535) {
        return -2;
    }
    *ends = true;
    bool set = fcntl((int)number, F_SETFL, O_NONBLOCK) == 0 && fcntl((int)number, F_SETFD, FD_CLOEXEC) == 0;
    return set ? (int)number : -2;
}

int main(int count, char **arguments) {
    static struct agent agent;
    if (count == 2 && strcmp(arguments[1], "--version") == 0) {
        return puts(AGENT_VERSION) < 0;
    }
    bool first = getpid() == 1 && strcmp(arguments[0], "/.applevz/agent") == 0;
    if (first) {
        boot(&agent, arguments);
        count = 1;
    }
    if (!fill_null(&agent)) {
        perror("/dev/null");
        return 1;
    }
    bool ends;
    int descriptor = given_port(count, arguments, &ends);
    if (descriptor == -2) {
        return usage();
    }
    if (!prepare(&agent)) {
        perror("guest-agent");
        return 1;
    }
    oom_score_protect(&agent);
    bool waits = descriptor == -1;
    do {
        port_open(&agent.port, waits ? wait_to_be_needed(&agent) : descriptor, ends);
        serve(&agent);
        streams_bury(&agent);
    } while (waits && !agent.is_asked_to_end);
    return 0;
}
