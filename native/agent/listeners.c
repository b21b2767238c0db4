// SPDX-License-Identifier: Apache-2.0
// What listens in the guest for the host: sockets whose connections the host asks for, one by one.
//
// The agent begins no stream: a connection waits in the kernel until the host has asked for one more. So a host is told
// of no more connections than it wants.

#include "addresses.h"
#include "agent.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 128 };

/// Whether the file of a Unix socket was left by a program that is gone.
static bool is_stale(const struct place *place) {
    const char *path = place->address.local.sun_path;
    struct stat status;
    if (place->address.any.sa_family != AF_UNIX || lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode)) {
        return false;
    }
    // Of another type than the one that may listen: nobody is to be told of a connection.
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool stale =
        descriptor >= 0 && connect(descriptor, &place->address.any, place->length) != 0 && errno == ECONNREFUSED;
    if (descriptor >= 0) {
        close(descriptor);
    }
    return stale;
}

/// Returns a socket that listens, or of datagrams one that is bound; or -1 with errno.
static int listen_at(const struct place *place) {
    int descriptor = place_socket(place);
    if (descriptor < 0) {
        return -1;
    }
    int yes = 1;
    if (place->type == SOCK_STREAM && place->address.any.sa_family != AF_UNIX) {
        (void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    }
    int result = bind(descriptor, &place->address.any, place->length);
    if (result != 0 && errno == EADDRINUSE) {
        result = is_stale(place) && unlink(place->address.local.sun_path) == 0
                     ? bind(descriptor, &place->address.any, place->length)
                     : (errno = EADDRINUSE, -1);
    }
    if (result == 0 && place->type == SOCK_STREAM) {
        result = listen(descriptor, BACKLOG);
    }
    if (result == 0) {
        return descriptor;
    }
    int error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

static void send_started(struct agent *agent, const struct stream *stream) {
    union address address = {0};
    socklen_t length = sizeof address;
    uint16_t port = 0;
    if (getsockname(stream->ends[0].descriptor, &address.any, &length) == 0) {
        port = address.any.sa_family == AF_INET    ? ntohs(address.four.sin_port)
               : address.any.sa_family == AF_INET6 ? ntohs(address.six.sin6_port)
                                                   : 0;
    }
    uint8_t payload[2] = {(uint8_t)port, (uint8_t)(port >> 8)};
    frame_send(&agent->port, STARTED, 0, stream->number, payload, sizeof payload);
}

void listener_open(struct agent *agent, const struct frame *frame) {
    struct place place;
    if (!place_read(&place, frame->payload, frame->length)) {
        send_failed(agent, frame->stream, EINVAL, "address");
        return;
    }
    follow_root(agent);
    int descriptor = listen_at(&place);
    if (descriptor < 0) {
        send_failed(agent, frame->stream, errno, "listen");
        return;
    }
    bool datagrams = place.type == SOCK_DGRAM;
    struct stream *stream = stream_make(agent, frame->stream, datagrams ? DATAGRAMS : LISTENER);
    if (stream == NULL) {
        close(descriptor);
        return;
    }
    if (!end_open(agent, stream, &stream->ends[0], descriptor) || (datagrams && !datagrams_begin(stream, true))) {
        send_failed(agent, frame->stream, errno, "listen");
        stream_end(agent, stream);
        return;
    }
    struct stat status;
    if (place.address.any.sa_family == AF_UNIX && lstat(place.address.local.sun_path, &status) == 0) {
        stream->file = status.st_ino;
    }
    send_started(agent, stream);
    stream_wake(agent, stream);
}

void listener_end(struct agent *agent, struct stream *stream) {
    while (stream->first_accepting != NULL) {
        struct stream *accepting = stream->first_accepting;
        stream->first_accepting = accepting->next_accepting;
        accepting->listener = NULL;
        stream_wake(agent, accepting);
    }
    union address address = {0};
    socklen_t length = sizeof address;
    struct stat status;
    if (stream->file != 0 && getsockname(stream->ends[0].descriptor, &address.any, &length) == 0 &&
        lstat(address.local.sun_path, &status) == 0 && status.st_ino == stream->file) {
        (void)unlink(address.local.sun_path);
    }
}

void accept_open(struct agent *agent, const struct frame *frame) {
    struct stream *listener = frame->length == 4 ? stream_find(agent, get32(frame->payload)) : NULL;
    if (listener == NULL || listener->kind != LISTENER) {
        send_failed(agent, frame->stream, EINVAL, "listener");
        return;
    }
    struct stream *stream = stream_make(agent, frame->stream, ACCEPTING);
    if (stream == NULL) {
        return;
    }
    stream->listener = listener;
    if (listener->first_accepting == NULL) {
        listener->first_accepting = stream;
    } else {
        listener->last_accepting->next_accepting = stream;
    }
    listener->last_accepting = stream;
    stream_wake(agent, listener);
}

/// Takes the first that waits out of the line.
static struct stream *take_accepting(struct stream *listener) {
    struct stream *stream = listener->first_accepting;
    listener->first_accepting = stream->next_accepting;
    stream->next_accepting = NULL;
    stream->listener = NULL;
    return stream;
}

void accept_end(struct stream *stream) {
    if (stream->listener == NULL) {
        return;
    }
    struct stream **place = &stream->listener->first_accepting, *before = NULL;
    while (*place != stream) {
        before = *place;
        place = &before->next_accepting;
    }
    *place = stream->next_accepting;
    if (stream->listener->last_accepting == stream) {
        stream->listener->last_accepting = before;
    }
    stream->listener = NULL;
}

/// Returns whether the connection that came went to somebody, or ended before.
static bool accept_one(struct agent *agent, struct stream *listener) {
    int descriptor = accept4(listener->ends[0].descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0 && errno == EAGAIN) {
        listener->ends[0].readable = false;
        return false;
    }
    bool exhausted = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
    if (descriptor < 0 && !exhausted) {
        // Whoever connected is gone.
        return true;
    }
    struct stream *stream = take_accepting(listener);
    if (descriptor < 0 || !end_open(agent, stream, &stream->ends[0], descriptor)) {
        // One that waits is told of each failure. It is the host that tries again.
        send_failed(agent, stream->number, errno, "accept");
        stream_end(agent, stream);
        return true;
    }
    connection_begin(agent, stream);
    return true;
}

bool listener_step(struct agent *agent, struct stream *stream) {
    if (stream->kind == ACCEPTING) {
        if (stream->listener == NULL) {
            send_failed(agent, stream->number, ECANCELED, "listener");
            stream_end(agent, stream);
        }
        return false;
    }
    return stream->first_accepting != NULL && stream->ends[0].readable && accept_one(agent, stream);
}
