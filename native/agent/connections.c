// SPDX-License-Identifier: Apache-2.0
// Connections: to what listens in the guest, and those that a listener got.

#include "addresses.h"
#include "agent.h"

#include <unistd.h>

/// Begins to connect. Returns a socket, or -1 with errno.
static int begin_connecting(const struct place *place, bool *connecting) {
    int descriptor = place_socket(place);
    if (descriptor < 0) {
        return -1;
    }
    *connecting = false;
    if (connect(descriptor, &place->address.any, place->length) == 0) {
        return descriptor;
    }
    if (errno == EINPROGRESS) {
        *connecting = true;
        return descriptor;
    }
    int error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

void connection_begin(struct agent *agent, struct stream *stream) {
    stream->kind = CONNECTION;
    stream->connecting = true;
    inward_open(&stream->in, &stream->ends[0]);
    outward_open(&stream->out[0], &stream->ends[0]);
    stream_wake(agent, stream);
}

void connection_close(struct stream *stream, bool reset) {
    if (reset) {
        struct linger at_once = {.l_onoff = 1};
        (void)setsockopt(stream->ends[0].descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    } else if (!stream->connecting) {
        // What came together with the end was not written yet.
        (void)inward_write(&stream->in);
    }
}

void connection_open(struct agent *agent, const struct frame *frame) {
    struct place place;
    if (!place_read(&place, frame->payload, frame->length)) {
        send_failed(agent, frame->stream, EINVAL, "address");
        return;
    }
    bool connecting;
    follow_root(agent);
    int descriptor = begin_connecting(&place, &connecting);
    if (descriptor < 0) {
        send_failed(agent, frame->stream, errno, "connect");
        return;
    }
    bool datagrams = place.type == SOCK_DGRAM;
    struct stream *stream = stream_make(agent, frame->stream, datagrams ? DATAGRAMS : CONNECTION);
    if (stream == NULL) {
        close(descriptor);
        return;
    }
    if (!end_open(agent, stream, &stream->ends[0], descriptor) || (datagrams && !datagrams_begin(stream, false))) {
        send_failed(agent, frame->stream, errno, "connect");
        stream_end(agent, stream);
        return;
    }
    if (datagrams) {
        frame_send(&agent->port, STARTED, 0, stream->number, NULL, 0);
        stream_wake(agent, stream);
        return;
    }
    // The kernel says when it is: by the first event that it can be written to.
    stream->ends[0].writable = !connecting;
    connection_begin(agent, stream);
}

/// Returns whether the stream can be used from now on.
static bool finish_connecting(struct agent *agent, struct stream *stream) {
    if (!stream->ends[0].writable) {
        return false;
    }
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(stream->ends[0].descriptor, SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
        error = errno;
    }
    if (error != 0) {
        send_failed(agent, stream->number, error, "connect");
        stream_end(agent, stream);
        return false;
    }
    stream->connecting = false;
    frame_send(&agent->port, STARTED, 0, stream->number, NULL, 0);
    return true;
}

static void connection_broken(struct agent *agent, struct stream *stream, int error) {
    send_done(agent, stream->number, error, NULL);
    stream_end(agent, stream);
}

bool connection_step(struct agent *agent, struct stream *stream) {
    if (stream->connecting && !finish_connecting(agent, stream)) {
        return false;
    }
    enum moved moved = outward_move(agent, stream, 1);
    int error = moved == MOVED_END ? errno : 0;
    if (moved == MOVED_END && error == 0) {
        stream->out[0].open = false;
        frame_send(&agent->port, END, 1, stream->number, NULL, 0);
    }
    if (error == 0) {
        error = inward_write(&stream->in);
    }
    if (error != 0) {
        connection_broken(agent, stream, error);
        return false;
    }
    inward_credit(agent, stream);
    if (inward_finished(&stream->in) && !stream->in.broken) {
        // Where the other side is gone already, there is nobody to be told.
        (void)shutdown(stream->ends[0].descriptor, SHUT_WR);
        stream->in.broken = true;
    }
    if (stream->in.broken && !stream->out[0].open) {
        stream_end(agent, stream);
        return false;
    }
    return moved == MOVED_BYTES;
}
