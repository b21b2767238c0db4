// SPDX-License-Identifier: Apache-2.0
// The port: bytes in both directions, and the frames in them.

#include "agent.h"

#include <string.h>
#include <unistd.h>

static const uint8_t marker[MARKER_LENGTH + 1] = "\0applevz agent\r\n";
static const uint8_t no_nonce[NONCE_LENGTH];

static uint32_t frame_end(uint32_t stream, uint32_t length, uint32_t operation) {
    return (stream ^ length ^ operation) & 0x7FFFFFFF;
}

void port_open(struct port *port, int descriptor, bool ends) {
    port->descriptor = descriptor;
    port->ends = ends;
    port->ended = false;
    port->readable = port->writable = true;
    port->watched_for_room = false;
    port->hurries = true;
    port->hunting = true;
    port->holds_frames = false;
    port->input_start = port->input_end = 0;
    port->output_start = 0;
    // What an agent before this one left unfinished is completed, and whoever reads is told that there is another.
    memset(port->output, 0xFF, LONGEST_FRAME);
    memcpy(port->output + LONGEST_FRAME, marker, MARKER_LENGTH);
    memcpy(port->output + LONGEST_FRAME + MARKER_LENGTH, no_nonce, NONCE_LENGTH);
    port->output_end = LONGEST_FRAME + MARKER_LENGTH + NONCE_LENGTH;
}

/// Moves what is left to the buffer's begin.
static void compact(uint8_t *buffer, size_t *start, size_t *end) {
    if (*start > 0) {
        memmove(buffer, buffer + *start, *end - *start);
        *end -= *start;
        *start = 0;
    }
}

void port_fill(struct port *port) {
    if (sizeof port->input - port->input_end < LONGEST_FRAME) {
        compact(port->input, &port->input_start, &port->input_end);
    }
    while (port->readable && port->input_end < sizeof port->input) {
        ssize_t count = read(port->descriptor, port->input + port->input_end, sizeof port->input - port->input_end);
        if (count > 0) {
            port->input_end += (size_t)count;
        } else if (count == 0 || errno != EINTR) {
            port->readable = false;
            // A device says 0 as long as the host is not connected, and ENODEV when it was taken away.
            port->ended |= count == 0 ? port->ends : errno != EAGAIN;
        }
    }
}

void port_flush(struct port *port) {
    while (port->writable && port->output_start < port->output_end) {
        ssize_t count =
            write(port->descriptor, port->output + port->output_start, port->output_end - port->output_start);
        if (count > 0) {
            port->output_start += (size_t)count;
        } else if (count == 0 || errno != EINTR) {
            port->writable = false;
            port->ended |= count < 0 && errno != EAGAIN;
        }
    }
    if (port->output_start == port->output_end) {
        port->output_start = port->output_end = 0;
        port->hurries = false;
    }
}

size_t port_pending(const struct port *port) {
    return port->output_end - port->output_start;
}

size_t port_room(const struct port *port) {
    return port_pending(port) < OUTPUT_SHARE ? OUTPUT_SHARE - port_pending(port) : 0;
}

uint8_t *port_payload(struct port *port) {
    if (sizeof port->output - port->output_end < LONGEST_FRAME) {
        compact(port->output, &port->output_start, &port->output_end);
    }
    return port->output + port->output_end + HEADER_LENGTH;
}

void frame_commit(struct port *port, enum operation operation, uint8_t channel, uint32_t stream, size_t length) {
    uint8_t *bytes = port->output + port->output_end;
    bytes[0] = FRAME_MAGIC & 0xFF;
    bytes[1] = FRAME_MAGIC >> 8;
    bytes[2] = (uint8_t)operation;
    bytes[3] = channel;
    put32(bytes + 4, stream);
    put32(bytes + 8, (uint32_t)length);
    put32(bytes + HEADER_LENGTH + length, frame_end(stream, (uint32_t)length, operation));
    port->output_end += FRAME_EXTRA + length;
    port->hurries = true;
}

void frame_send(struct port *port, enum operation operation, uint8_t channel, uint32_t stream, const void *payload,
                size_t length) {
    uint8_t *place = port_payload(port);
    if (length > 0) {
        memcpy(place, payload, length);
    }
    frame_commit(port, operation, channel, stream, length);
}

/// Drops what is before the next marker; true when that stands at the begin, with all that belongs to it.
static bool hunt(struct port *port) {
    size_t length = port->input_end - port->input_start;
    uint8_t *found = memmem(port->input + port->input_start, length, marker, MARKER_LENGTH);
    if (found == NULL) {
        // The begin of a marker may be the last that came.
        if (length >= MARKER_LENGTH) {
            port->input_start = port->input_end - (MARKER_LENGTH - 1);
        }
        return false;
    }
    port->input_start = (size_t)(found - port->input);
    return port->input_end - port->input_start >= BEGINNING_LENGTH;
}

static enum came next_beginning(struct port *port, uint8_t nonce[NONCE_LENGTH], uint32_t *version) {
    while (hunt(port)) {
        const uint8_t *bytes = port->input + port->input_start + MARKER_LENGTH;
        *version = get32(bytes);
        memcpy(nonce, bytes + 4, NONCE_LENGTH);
        if (*version > 0 && memcmp(nonce, no_nonce, NONCE_LENGTH) != 0) {
            port->input_start += BEGINNING_LENGTH;
            port->hunting = false;
            return CAME_BEGINNING;
        }
        // Not a host's. What stands in the place of its nonce may be the begin of one that is.
        port->input_start += MARKER_LENGTH;
    }
    return CAME_NOTHING;
}

enum came port_next(struct port *port, struct frame *frame, uint8_t nonce[NONCE_LENGTH], uint32_t *version) {
    if (!port->hunting) {
        const uint8_t *bytes = port->input + port->input_start;
        size_t length = port->input_end - port->input_start;
        // What is wrong with a header is seen before the rest is waited for.
        port->hunting = (length >= 2 && get16(bytes) != FRAME_MAGIC) ||
                        (length >= HEADER_LENGTH && get32(bytes + 8) > LONGEST_PAYLOAD);
        if (!port->hunting) {
            if (length < FRAME_EXTRA || length < FRAME_EXTRA + get32(bytes + 8)) {
                return CAME_NOTHING;
            }
            *frame = (struct frame){bytes[2], bytes[3], get32(bytes + 4), get32(bytes + 8), bytes + HEADER_LENGTH};
            uint32_t end = get32(bytes + HEADER_LENGTH + frame->length);
            if (end == frame_end(frame->stream, frame->length, frame->operation)) {
                port->input_start += FRAME_EXTRA + frame->length;
                return CAME_FRAME;
            }
            port->hunting = true;
        }
    }
    return next_beginning(port, nonce, version);
}

void port_begin(struct port *port, const uint8_t nonce[NONCE_LENGTH], uint32_t version, uint32_t killed,
                uint32_t closed) {
    port->output_start = 0;
    port->hurries = true;
    memcpy(port->output, marker, MARKER_LENGTH);
    memcpy(port->output + MARKER_LENGTH, nonce, NONCE_LENGTH);
    port->output_end = MARKER_LENGTH + NONCE_LENGTH;
    uint8_t hello[20 + sizeof AGENT_VERSION];
    put32(hello, version < PROTOCOL_VERSION ? version : PROTOCOL_VERSION);
    put32(hello + 4, WINDOW);
    put32(hello + 8, killed);
    put32(hello + 12, closed);
    put32(hello + 16, (uint32_t)getpid());
    memcpy(hello + 20, AGENT_VERSION, sizeof AGENT_VERSION - 1);
    frame_send(port, HELLO, 0, 0, hello, 20 + sizeof AGENT_VERSION - 1);
}
