// SPDX-License-Identifier: Apache-2.0
// Channels: bytes between the port and a descriptor, with the credit of each direction.

#include "agent.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

/// What an inward held, for the next one that holds something: memory that was never used costs a fault a page.
static uint8_t *spare;

bool end_open(struct agent *agent, struct stream *stream, struct end *end, int descriptor) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = end};
    *end = (struct end){.stream = stream, .descriptor = descriptor, .readable = true, .writable = true};
    if (epoll_ctl(agent->events, EPOLL_CTL_ADD, descriptor, &event) == 0) {
        return true;
    }
    // A regular file, or a folder's.
    if (errno == EPERM) {
        end->always = true;
        return true;
    }
    int error = errno;
    close(descriptor);
    end->descriptor = -1;
    errno = error;
    return false;
}

int end_close(struct agent *agent, struct end *end) {
    int error = 0;
    if (end->descriptor >= 0) {
        // Closing does not take it out of the epoll while a child has it, too: vfork returns before the child's are
        // closed. An event would then come for a stream that is gone.
        if (!end->always) {
            (void)epoll_ctl(agent->events, EPOLL_CTL_DEL, end->descriptor, NULL);
        }
        // Whatever it says, the descriptor is gone.
        error = close(end->descriptor) == 0 || errno == EINTR ? 0 : errno;
        end->descriptor = -1;
    }
    return error;
}

/// Has a pipe take more, once: the more it takes, the fewer are the turns of its two sides. Only one that moves much is
/// worth the time. Returns whether it takes more now.
static bool end_widen(struct end *end) {
    bool widened = !end->widened && !end->always && fcntl(end->descriptor, F_SETPIPE_SZ, PIPE_SIZE) >= 0;
    end->widened = true;
    return widened;
}

void inward_open(struct inward *in, struct end *end) {
    *in = (struct inward){.end = end, .allowance = WINDOW};
}

void outward_open(struct outward *out, struct end *end) {
    *out = (struct outward){.end = end, .credit = WINDOW, .open = true};
}

/// Writes bytes; returns how many went, with *error where no more ever will.
static size_t write_some(struct end *end, const uint8_t *bytes, size_t length, int *error) {
    size_t written = 0;
    while (written < length && end->writable) {
        ssize_t count = write(end->descriptor, bytes + written, length - written);
        if (count >= 0) {
            written += (size_t)count;
        } else if (errno == EAGAIN && !end->always) {
            end->writable = false;
        } else if (errno != EINTR) {
            *error = errno;
            break;
        }
    }
    return written;
}

bool inward_take(struct inward *in, const uint8_t *bytes, size_t length) {
    if (length > in->allowance) {
        errno = EPROTO;
        return false;
    }
    in->allowance -= (uint32_t)length;
    // Each write to a pipe wakes its reader, which takes the processor at once: what comes together is held, and
    // written together by the step. A file wakes nobody.
    if (in->length == 0 && in->end->always) {
        // What fails here fails again in inward_write, which tells of it.
        int error = 0;
        size_t written = write_some(in->end, bytes, length, &error);
        in->consumed += (uint32_t)written;
        bytes += written;
        length -= written;
    }
    if (length == 0) {
        return true;
    }
    if (in->held == NULL) {
        in->held = spare != NULL ? spare : malloc(WINDOW);
        spare = NULL;
        if (in->held == NULL) {
            return false;
        }
    }
    // What is held and what may still come are a window together: so it fits.
    size_t place = (in->start + in->length) % WINDOW;
    size_t first = length < WINDOW - place ? length : WINDOW - place;
    memcpy(in->held + place, bytes, first);
    memcpy(in->held, bytes + first, length - first);
    in->length += length;
    return true;
}

int inward_write(struct inward *in) {
    int error = 0;
    while (in->length > 0 && in->end->writable && error == 0) {
        size_t length = in->length < WINDOW - in->start ? in->length : WINDOW - in->start;
        inward_skip(in, write_some(in->end, in->held + in->start, length, &error));
        if (in->length > 0 && error == 0 && end_widen(in->end)) {
            in->end->writable = true;
        }
    }
    return error;
}

bool inward_peek(const struct inward *in, uint8_t *bytes, size_t length) {
    if (length > in->length) {
        return false;
    }
    size_t first = length < WINDOW - in->start ? length : WINDOW - in->start;
    memcpy(bytes, in->held + in->start, first);
    memcpy(bytes + first, in->held, length - first);
    return true;
}

void inward_skip(struct inward *in, size_t length) {
    in->start = (in->start + length) % WINDOW;
    in->length -= length;
    in->consumed += (uint32_t)length;
}

bool inward_finished(const struct inward *in) {
    return in->ended && in->length == 0;
}

void inward_credit(struct agent *agent, struct stream *stream) {
    struct inward *in = &stream->in;
    if (in->consumed >= WINDOW / 4 && !in->ended && !in->broken) {
        uint8_t payload[4];
        put32(payload, in->consumed);
        in->allowance += in->consumed;
        in->consumed = 0;
        frame_send(&agent->port, CREDIT, 0, stream->number, payload, sizeof payload);
    }
    if (in->length == 0 && in->records) {
        // Small ones come one by one: they take the first pages again and again.
        in->start = 0;
    } else if (in->length == 0) {
        inward_drop(in);
    }
}

void inward_drop(struct inward *in) {
    if (spare == NULL) {
        spare = in->held;
    } else {
        free(in->held);
    }
    in->held = NULL;
    in->start = in->length = 0;
}

/// Reads as many bytes as go into one frame; or, while nothing waits to be sent, into several: a process that waits at
/// a full pipe takes the processor as soon as there is room, so all of it is taken at once. Each payload is put where
/// its frame will be.
static ssize_t read_payloads(struct agent *agent, const struct outward *out) {
    size_t room = port_room(&agent->port), most = room - FRAME_EXTRA, left = out->credit;
    uint8_t *place = port_payload(&agent->port);
    struct iovec parts[FRAMES_AT_ONCE];
    int count = 0, frames = port_pending(&agent->port) == 0 ? FRAMES_AT_ONCE : 1;
    while (count < frames && left > 0) {
        size_t length = left < most ? left : most;
        parts[count++] = (struct iovec){place, length};
        place += FRAME_EXTRA + length;
        left -= length;
    }
    ssize_t length;
    do {
        length = readv(out->end->descriptor, parts, count);
    } while (length < 0 && errno == EINTR);
    return length;
}

enum moved outward_move(struct agent *agent, struct stream *stream, uint8_t channel) {
    struct outward *out = &stream->out[channel - 1];
    size_t room = port_room(&agent->port);
    if (!out->open || !out->end->readable || out->credit == 0 || room <= FRAME_EXTRA) {
        return MOVED_NOTHING;
    }
    ssize_t count = read_payloads(agent, out);
    if (count > 0) {
        if ((size_t)count >= MUCH) {
            end_widen(out->end);
        }
        out->credit -= (uint32_t)count;
        // A little that nobody looks at before the process has ended is sent together with that, if it ends at once.
        bool hurries = agent->port.hurries || !stream->quiet || count >= MUCH;
        for (size_t left = (size_t)count, length; left > 0; left -= length) {
            length = left < room - FRAME_EXTRA ? left : room - FRAME_EXTRA;
            frame_commit(&agent->port, DATA, channel, stream->number, length);
        }
        agent->port.hurries = hurries;
        return MOVED_BYTES;
    }
    if (count == 0) {
        errno = 0;
    } else if (errno == EAGAIN) {
        out->end->readable = false;
        return MOVED_NOTHING;
    }
    return MOVED_END;
}
