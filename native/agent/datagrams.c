// SPDX-License-Identifier: Apache-2.0
// Datagrams: one after the other in the bytes of a channel, each with its length before it.
//
// Which peers there are is for the host to know: the agent remembers none. What the guest's network refuses of a
// datagram loses that one alone, as it does elsewhere.

#include "addresses.h"
#include "agent.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LENGTH = 2,
    PEER = 28, // a sockaddr_in6, which is as long as any
    LONGEST_DATAGRAM = 65527,
    LONGEST_RECORD = LENGTH + PEER + LONGEST_DATAGRAM,
};

_Static_assert(sizeof(struct sockaddr_in6) == PEER, "the protocol's length of a peer");

/// The datagram that came last, as far as it is not sent.
struct datagram {
    size_t start, length;
    uint8_t record[LONGEST_RECORD];
};

bool datagrams_begin(struct stream *stream, bool peers) {
    stream->peers = peers;
    stream->datagram = calloc(1, sizeof *stream->datagram);
    inward_open(&stream->in, &stream->ends[0]);
    stream->in.records = true;
    outward_open(&stream->out[0], &stream->ends[0]);
    return stream->datagram != NULL;
}

/// Whether an error of a socket is of one datagram that was sent, and not of the socket.
static bool is_of_a_datagram(int error) {
    static const int of_one[] = {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN,  EACCES, EPERM,
                                 EMSGSIZE,     EPROTO,       ENOPROTOOPT, EOPNOTSUPP, EINTR};
    for (size_t i = 0; i < sizeof of_one / sizeof of_one[0]; i++) {
        if (error == of_one[i]) {
            return true;
        }
    }
    return false;
}

/// Receives the next datagram. Returns whether there may be more, with *error where there never is.
static bool receive(struct stream *stream, int *error) {
    struct datagram *datagram = stream->datagram;
    struct end *end = &stream->ends[0];
    size_t head = LENGTH + (stream->peers ? PEER : 0);
    union address peer = {0};
    socklen_t peer_length = sizeof peer;
    ssize_t count = recvfrom(end->descriptor, datagram->record + head, LONGEST_DATAGRAM, 0, &peer.any, &peer_length);
    if (count < 0) {
        if (errno == EAGAIN) {
            end->readable = false;
            return false;
        }
        *error = is_of_a_datagram(errno) ? 0 : errno;
        return *error == 0;
    }
    datagram->record[0] = (uint8_t)count;
    datagram->record[1] = (uint8_t)(count >> 8);
    if (stream->peers) {
        memcpy(datagram->record + LENGTH, &peer.six, PEER);
    }
    datagram->start = 0;
    datagram->length = head + (size_t)count;
    return true;
}

/// Sends the host as much of the datagram as goes. Returns whether that is something.
static bool hand_over(struct agent *agent, struct stream *stream) {
    struct datagram *datagram = stream->datagram;
    struct outward *out = &stream->out[0];
    size_t room = port_room(&agent->port);
    size_t length = datagram->length - datagram->start;
    if (length == 0 || out->credit == 0 || room <= FRAME_EXTRA) {
        return false;
    }
    length = length < room - FRAME_EXTRA ? length : room - FRAME_EXTRA;
    length = length < out->credit ? length : out->credit;
    frame_send(&agent->port, DATA, 1, stream->number, datagram->record + datagram->start, length);
    datagram->start += length;
    out->credit -= (uint32_t)length;
    return true;
}

/// Sends a datagram of the host. Returns false where it has to wait.
static bool send_one(struct stream *stream, const uint8_t *record, size_t length) {
    struct end *end = &stream->ends[0];
    union address peer = {0};
    socklen_t peer_length = 0;
    if (stream->peers) {
        memcpy(&peer.six, record, PEER);
        peer_length = peer.any.sa_family == AF_INET    ? sizeof peer.four
                      : peer.any.sa_family == AF_INET6 ? sizeof peer.six
                                                       : 0;
        record += PEER;
        if (peer_length == 0) {
            return true;
        }
    }
    const struct sockaddr *to = peer_length ? &peer.any : NULL;
    ssize_t count = sendto(end->descriptor, record, length, 0, to, peer_length);
    if (count < 0 && is_of_a_datagram(errno)) {
        // The error may be of one before it.
        count = sendto(end->descriptor, record, length, 0, to, peer_length);
    }
    if (count < 0 && errno == EAGAIN) {
        end->writable = false;
        return false;
    }
    return true;
}

/// Sends what is held of the host's datagrams. Returns false where one is longer than any.
static bool send_held(struct stream *stream) {
    static uint8_t record[LONGEST_RECORD];
    size_t head = LENGTH + (stream->peers ? PEER : 0);
    while (stream->ends[0].writable && inward_peek(&stream->in, record, LENGTH)) {
        size_t length = get16(record);
        if (length > LONGEST_DATAGRAM) {
            return false;
        }
        if (!inward_peek(&stream->in, record, head + length) || !send_one(stream, record + LENGTH, length)) {
            break;
        }
        inward_skip(&stream->in, head + length);
    }
    return true;
}

bool datagrams_step(struct agent *agent, struct stream *stream) {
    int error = 0;
    bool more = hand_over(agent, stream);
    if (stream->datagram->start == stream->datagram->length && stream->ends[0].readable) {
        more |= receive(stream, &error);
    }
    if (!send_held(stream)) {
        send_failed(agent, stream->number, EPROTO, "message");
        stream_end(agent, stream);
        return false;
    }
    if (error != 0) {
        send_done(agent, stream->number, error, NULL);
        stream_end(agent, stream);
        return false;
    }
    inward_credit(agent, stream);
    return more;
}
