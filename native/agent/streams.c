// SPDX-License-Identifier: Apache-2.0
// Streams: which there are, which of them have something to do, and what each frame means for its own.

#include "agent.h"

#include <stdlib.h>
#include <string.h>

static struct stream **bucket(struct agent *agent, uint32_t number) {
    return &agent->buckets[number % BUCKETS];
}

struct stream *stream_find(struct agent *agent, uint32_t number) {
    struct stream *stream = *bucket(agent, number);
    while (stream != NULL && stream->number != number) {
        stream = stream->next;
    }
    return stream;
}

struct stream *stream_make(struct agent *agent, uint32_t number, enum kind kind) {
    struct stream *stream = NULL;
    if (agent->streams < MOST_STREAMS) {
        stream = agent->spare != NULL ? agent->spare : malloc(sizeof *stream);
        agent->spare = NULL;
    }
    if (stream == NULL) {
        send_failed(agent, number, ENOMEM, "memory");
        return NULL;
    }
    *stream = (struct stream){.number = number, .kind = kind};
    for (int i = 0; i < 3; i++) {
        stream->ends[i] = (struct end){.stream = stream, .descriptor = -1};
    }
    stream->next = *bucket(agent, number);
    *bucket(agent, number) = stream;
    agent->streams++;
    return stream;
}

void stream_end(struct agent *agent, struct stream *stream) {
    if (stream->dead) {
        return;
    }
    struct stream **place = bucket(agent, stream->number);
    while (*place != stream) {
        place = &(*place)->next;
    }
    *place = stream->next;
    agent->streams--;
    if (stream->kind == LISTENER) {
        listener_end(agent, stream);
    }
    accept_end(stream);
    for (int i = 0; i < 3; i++) {
        end_close(agent, &stream->ends[i]);
    }
    inward_drop(&stream->in);
    free(stream->start);
    free(stream->datagram);
    stream->start = NULL;
    stream->datagram = NULL;
    tree_sender_free(stream->sender);
    tree_receiver_free(stream->receiver);
    stream->sender = NULL;
    stream->receiver = NULL;
    // An event of this round may name one of its ends, and the list of those that are ready may have it.
    stream->dead = true;
    stream->next = agent->dead;
    agent->dead = stream;
}

void streams_bury(struct agent *agent) {
    struct stream **place = &agent->dead;
    while (*place != NULL) {
        struct stream *stream = *place;
        if (stream->ready) {
            // Its turn takes it out of the list of those that are ready.
            place = &stream->next;
            continue;
        }
        *place = stream->next;
        if (agent->spare == NULL) {
            agent->spare = stream;
        } else {
            free(stream);
        }
    }
}

void stream_wake(struct agent *agent, struct stream *stream) {
    if (stream->ready || stream->dead) {
        return;
    }
    stream->ready = true;
    stream->next_ready = NULL;
    if (agent->first_ready == NULL) {
        agent->first_ready = stream;
    } else {
        agent->last_ready->next_ready = stream;
    }
    agent->last_ready = stream;
}

static bool stream_step(struct agent *agent, struct stream *stream) {
    switch (stream->kind) {
    case PROCESS:
        return process_step(agent, stream);
    case READER:
    case WRITER:
        return file_step(agent, stream);
    case CONNECTION:
        return connection_step(agent, stream);
    case TREE_SENDER:
        return tree_send_step(agent, stream);
    case DATAGRAMS:
        return datagrams_step(agent, stream);
    case LISTENER:
    case ACCEPTING:
        return listener_step(agent, stream);
    case STARTING:
    case TREE_RECEIVER:
        break;
    }
    return false;
}

void streams_run(struct agent *agent) {
    // So many that what comes, and who ended, is not left waiting.
    for (int steps = 0; steps < 64 && agent->first_ready != NULL; steps++) {
        if (port_room(&agent->port) < LEAST_ROOM) {
            port_flush(&agent->port);
            if (port_room(&agent->port) < LEAST_ROOM) {
                return;
            }
        }
        struct stream *stream = agent->first_ready;
        agent->first_ready = stream->next_ready;
        stream->ready = false;
        if (!stream->dead && stream_step(agent, stream)) {
            stream_wake(agent, stream);
        }
    }
}

void send_failed(struct agent *agent, uint32_t number, int error, const char *what) {
    uint8_t payload[64];
    size_t length = strnlen(what, sizeof payload - 4);
    put32(payload, (uint32_t)error);
    memcpy(payload + 4, what, length);
    frame_send(&agent->port, FAILED, 0, number, payload, 4 + length);
}

void send_done(struct agent *agent, uint32_t number, int error, const char *path) {
    uint8_t payload[4 + 4096];
    size_t length = path ? strnlen(path, sizeof payload - 4) : 0;
    put32(payload, (uint32_t)error);
    if (length > 0) {
        memcpy(payload + 4, path, length);
    }
    frame_send(&agent->port, DONE, 0, number, payload, 4 + length);
}

char *frame_path(const struct frame *frame, size_t offset) {
    if (frame->length <= offset || memchr(frame->payload + offset, 0, frame->length - offset) != NULL) {
        errno = EINVAL;
        return NULL;
    }
    return strndup((const char *)frame->payload + offset, frame->length - offset);
}

/// The stream does what it may not: nothing of it can be relied on.
static void stream_refuse(struct agent *agent, struct stream *stream, int error, const char *what) {
    if (stream->kind == PROCESS) {
        process_close(stream);
        process_tell_start(agent, stream);
    }
    send_failed(agent, stream->number, error, what);
    stream_end(agent, stream);
}

static void take_data(struct agent *agent, struct stream *stream, const struct frame *frame) {
    if (frame->channel != 0 || frame->length == 0) {
        return;
    }
    if (stream->kind == TREE_RECEIVER) {
        tree_receive_take(agent, stream, frame->payload, frame->length);
        return;
    }
    if (stream->in.end == NULL || stream->in.broken || stream->in.ended) {
        return;
    }
    if (!inward_take(&stream->in, frame->payload, frame->length)) {
        stream_refuse(agent, stream, errno, errno == EPROTO ? "credit" : "memory");
        return;
    }
    stream_wake(agent, stream);
}

static void take_end(struct agent *agent, struct stream *stream, const struct frame *frame) {
    if (frame->channel != 0) {
        return;
    }
    if (stream->kind == TREE_RECEIVER) {
        tree_receive_end(agent, stream);
        return;
    }
    stream->in.ended = true;
    stream_wake(agent, stream);
}

static void take_credit(struct agent *agent, struct stream *stream, const struct frame *frame) {
    if (frame->length != 4 || frame->channel < 1 || frame->channel > 2) {
        return;
    }
    struct outward *out = &stream->out[frame->channel - 1];
    uint32_t more = get32(frame->payload);
    // A host that would give more than there is gives all that there is.
    out->credit = more > UINT32_MAX - out->credit ? UINT32_MAX : out->credit + more;
    stream_wake(agent, stream);
}

static void close_stream(struct agent *agent, struct stream *stream, const struct frame *frame) {
    if (stream != NULL) {
        if (stream->kind == PROCESS) {
            process_close(stream);
        } else if (stream->kind == CONNECTION) {
            connection_close(stream, frame->channel == 1);
        }
        stream_end(agent, stream);
    }
    frame_send(&agent->port, CLOSED, 0, frame->stream, NULL, 0);
}

/// What begins a stream, but for a process. What belongs to a stream that is over is dropped.
static void begin_stream(struct agent *agent, const struct frame *frame) {
    switch (frame->operation) {
    case OPEN:
        file_open(agent, frame);
        break;
    case CONNECT:
        connection_open(agent, frame);
        break;
    case SEND_TREE:
        tree_send_open(agent, frame);
        break;
    case RECEIVE_TREE:
        tree_receive_open(agent, frame);
        break;
    case LISTEN:
        listener_open(agent, frame);
        break;
    case ACCEPT:
        accept_open(agent, frame);
        break;
    default:
        break;
    }
}

void streams_handle(struct agent *agent, const struct frame *frame) {
    if (frame->stream == 0) {
        if (frame->operation == INFORMATION) {
            information_tell(agent);
        } else if (frame->operation == RESTORED) {
            restored_take(agent, frame);
        }
        return;
    }
    struct stream *stream = stream_find(agent, frame->stream);
    if (frame->operation == CLOSE) {
        close_stream(agent, stream, frame);
    } else if (frame->operation == START) {
        if (stream == NULL || stream->kind == STARTING) {
            process_start(agent, frame);
        }
    } else if (stream == NULL) {
        begin_stream(agent, frame);
    } else if (frame->operation == DATA) {
        take_data(agent, stream, frame);
    } else if (frame->operation == END) {
        take_end(agent, stream, frame);
    } else if (frame->operation == CREDIT) {
        take_credit(agent, stream, frame);
    } else if (stream->kind == PROCESS && frame->operation == SIGNAL && frame->length == 4) {
        process_signal(stream, (int)get32(frame->payload));
    } else if (stream->kind == PROCESS && frame->operation == RESIZE) {
        process_resize(stream, frame);
    }
}

void streams_end_all(struct agent *agent, uint32_t *killed, uint32_t *closed) {
    *killed = *closed = 0;
    for (int i = 0; i < BUCKETS; i++) {
        while (agent->buckets[i] != NULL) {
            struct stream *stream = agent->buckets[i];
            bool killing = stream->kind == PROCESS && !stream->detached;
            if (killing) {
                process_close(stream);
            } else if (stream->kind == CONNECTION) {
                connection_close(stream, true);
            }
            *(killing ? killed : closed) += 1;
            stream_end(agent, stream);
        }
    }
}
