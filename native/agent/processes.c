// SPDX-License-Identifier: Apache-2.0
// Processes: what START asks for, and their lives.

#include "agent.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TERMINAL = 1,
    INPUT = 2,
    OUTPUT = 4,
    ERRORS = 8,
    ERRORS_TO_OUTPUT = 16,
    DETACHED = 32,
    WHOLE_ENVIRONMENT = 64,
    QUIET = 128,
    START_HEADER = 16,
    LONGEST_START = 2 << 20,
};

/// What START said, taken apart. The texts are in `texts`, the lists of them in `lists`.
struct request {
    uint32_t flags;
    uint16_t rows, columns;
    char *texts;
    char **lists;
    struct launch launch;
    // Where they are, if they are few: memory of the library's is a page of the kernel's, taken and given back each
    // time.
    char few_texts[2048];
    char *few_lists[64];
};

static void request_free(struct request *request) {
    if (request->texts != request->few_texts) {
        free(request->texts);
    }
    if (request->lists != request->few_lists) {
        free(request->lists);
    }
}

/// Takes one text from what is left, to where the copies are put. False where there is none that is right.
static bool take_text(const uint8_t **bytes, size_t *left, char **place) {
    if (*left < 4) {
        return false;
    }
    uint32_t length = get32(*bytes);
    if (length > *left - 4 || memchr(*bytes + 4, 0, length) != NULL) {
        return false;
    }
    memcpy(*place, *bytes + 4, length);
    (*place)[length] = '\0';
    *place += length + 1;
    *bytes += 4 + length;
    *left -= 4 + length;
    return true;
}

/// Takes START apart. Returns 0 or an errno.
static int request_parse(struct request *request, const uint8_t *bytes, size_t length) {
    request->texts = NULL;
    request->lists = NULL;
    request->launch = (struct launch){0};
    if (length < START_HEADER) {
        return EPROTO;
    }
    request->flags = get32(bytes);
    request->rows = get16(bytes + 4);
    request->columns = get16(bytes + 6);
    uint32_t arguments = get32(bytes + 8), variables = get32(bytes + 12);
    size_t left = length - START_HEADER;
    // Each text has at least its length: so neither number is larger than what came.
    if (arguments < 1 || arguments > left / 4 || variables > left / 4) {
        return EPROTO;
    }
    // A copy of a text is shorter than the text with its length.
    size_t entries = (size_t)arguments + variables + 2;
    bool few_texts = left < sizeof request->few_texts;
    bool few_lists = entries <= sizeof request->few_lists / sizeof request->few_lists[0];
    request->texts = few_texts ? request->few_texts : malloc(left + 1);
    request->lists = few_lists ? request->few_lists : malloc(entries * sizeof request->lists[0]);
    if (request->texts == NULL || request->lists == NULL) {
        return ENOMEM;
    }
    // Each list ends with a NULL.
    request->lists[arguments] = request->lists[entries - 1] = NULL;
    char *place = request->texts;
    const char *user = place;
    bytes += START_HEADER;
    if (!take_text(&bytes, &left, &place)) {
        return EPROTO;
    }
    const char *directory = place;
    if (!take_text(&bytes, &left, &place)) {
        return EPROTO;
    }
    for (size_t i = 0; i < (size_t)arguments + variables; i++) {
        request->lists[i < arguments ? i : i + 1] = place;
        if (!take_text(&bytes, &left, &place)) {
            return EPROTO;
        }
    }
    request->launch.user = *user ? user : NULL;
    request->launch.directory = *directory ? directory : NULL;
    request->launch.arguments = request->lists;
    request->launch.variables = request->lists + arguments + 1;
    request->launch.whole_environment = request->flags & WHOLE_ENVIRONMENT;
    request->launch.terminal = request->flags & TERMINAL;
    return 0;
}

/// A pipe for one of the process' descriptors; ours is the end of the stream. Returns theirs, or -1.
static int open_pipe(struct agent *agent, struct stream *stream, int index) {
    int pair[2];
    if (pipe2(pair, O_CLOEXEC) != 0) {
        return -1;
    }
    int ours = pair[index == 0 ? 1 : 0], theirs = pair[index == 0 ? 0 : 1];
    // Not theirs: what a program has as its standard input and output is not expected to refuse.
    if (fcntl(ours, F_SETFL, O_NONBLOCK) != 0 || !end_open(agent, stream, &stream->ends[index], ours)) {
        close(theirs);
        return -1;
    }
    if (index == 0) {
        inward_open(&stream->in, &stream->ends[0]);
    } else {
        // There is nobody yet who could write.
        stream->ends[index].readable = false;
        outward_open(&stream->out[index - 1], &stream->ends[index]);
    }
    return theirs;
}

/// The three descriptors of the process. Those that are not the agent's own are to be closed afterwards.
static bool open_pipes(struct agent *agent, struct stream *stream, struct request *request) {
    int *descriptors = request->launch.descriptors;
    for (int i = 0; i < 3; i++) {
        if (i == 2 && request->flags & ERRORS_TO_OUTPUT) {
            descriptors[2] = descriptors[1];
        } else if (request->flags & (uint32_t)(INPUT << i)) {
            descriptors[i] = open_pipe(agent, stream, i);
            if (descriptors[i] < 0) {
                return false;
            }
        }
    }
    return true;
}

/// A terminal is all three of them, and the stream's one end.
static bool open_terminal(struct agent *agent, struct stream *stream, struct request *request) {
    int ours = terminal_open(agent, request->rows, request->columns, &request->launch.descriptors[0]);
    if (ours < 0) {
        request->launch.descriptors[0] = agent->null;
        return false;
    }
    request->launch.descriptors[1] = request->launch.descriptors[2] = request->launch.descriptors[0];
    if (!end_open(agent, stream, &stream->ends[0], ours)) {
        return false;
    }
    inward_open(&stream->in, &stream->ends[0]);
    outward_open(&stream->out[0], &stream->ends[0]);
    return true;
}

static void close_theirs(const struct agent *agent, const int descriptors[3]) {
    for (int i = 0; i < 3; i++) {
        bool again = (i > 0 && descriptors[i] == descriptors[0]) || (i > 1 && descriptors[i] == descriptors[1]);
        if (descriptors[i] >= 0 && descriptors[i] != agent->null && !again) {
            close(descriptors[i]);
        }
    }
}

/// Starts the process. Returns 0, or an errno with what failed.
static int start(struct agent *agent, struct stream *stream, struct request *request, const char **failed) {
    for (int i = 0; i < 3; i++) {
        request->launch.descriptors[i] = agent->null;
    }
    stream->terminal = request->launch.terminal;
    stream->detached = request->flags & DETACHED;
    stream->quiet = request->flags & QUIET;
    bool opened = stream->terminal ? open_terminal(agent, stream, request) : open_pipes(agent, stream, request);
    int error = opened ? 0 : errno;
    *failed = stream->terminal ? "terminal" : "pipe";
    if (opened) {
        stream->process = launch(agent, &request->launch);
        error = stream->process < 0 ? request->launch.error : 0;
        *failed = request->launch.failed;
    }
    close_theirs(agent, request->launch.descriptors);
    return error;
}

/// All of START is there.
static void start_whole(struct agent *agent, struct stream *stream, const uint8_t *bytes, size_t length) {
    struct request request;
    const char *failed = "message";
    int error = request_parse(&request, bytes, length);
    if (error == 0) {
        error = start(agent, stream, &request, &failed);
    }
    request_free(&request);
    free(stream->start);
    stream->start = NULL;
    if (error != 0) {
        send_failed(agent, stream->number, error, failed);
        stream_end(agent, stream);
        return;
    }
    stream->kind = PROCESS;
    if (!stream->quiet) {
        process_tell_start(agent, stream);
    }
    stream_wake(agent, stream);
}

void process_tell_start(struct agent *agent, struct stream *stream) {
    uint8_t payload[4];
    if (!stream->told_start) {
        put32(payload, (uint32_t)stream->process);
        frame_send(&agent->port, STARTED, 0, stream->number, payload, sizeof payload);
        stream->told_start = true;
    }
}

void process_start(struct agent *agent, const struct frame *frame) {
    struct stream *stream = stream_find(agent, frame->stream);
    if (stream == NULL) {
        stream = stream_make(agent, frame->stream, STARTING);
    }
    if (stream == NULL) {
        return;
    }
    if (frame->channel == 0 && stream->start == NULL) {
        start_whole(agent, stream, frame->payload, frame->length);
        return;
    }
    size_t length = stream->start_length + frame->length;
    uint8_t *bytes = length <= LONGEST_START ? realloc(stream->start, length + 1) : NULL;
    if (bytes == NULL) {
        send_failed(agent, stream->number, length <= LONGEST_START ? ENOMEM : E2BIG, "message");
        stream_end(agent, stream);
        return;
    }
    memcpy(bytes + stream->start_length, frame->payload, frame->length);
    stream->start = bytes;
    stream->start_length = length;
    if (frame->channel == 0) {
        start_whole(agent, stream, bytes, length);
    }
}

/// Sends a signal to the process' group, which may live on without the process.
static void signal_group(const struct stream *stream, int number) {
    // The kernel gives a group's number to no other process while the group has members. So when there is one of that
    // number although ours was reaped, it is another's, and the group had none.
    if (stream->process > 1 && !(stream->reaped && kill(stream->process, 0) == 0)) {
        kill(-stream->process, number);
    }
}

void process_signal(struct stream *stream, int number) {
    if (number > 0 && number < NSIG) {
        signal_group(stream, number);
    }
}

void process_close(struct stream *stream) {
    if (!stream->detached) {
        signal_group(stream, SIGKILL);
    }
}

void process_resize(struct stream *stream, const struct frame *frame) {
    if (stream->terminal && frame->length == 4 && stream->ends[0].descriptor >= 0) {
        // One that does not take it hangs, and there is nobody to tell.
        (void)terminal_resize(stream->ends[0].descriptor, get16(frame->payload), get16(frame->payload + 2));
    }
}

/// What the host sent goes to standard input; what nobody reads is dropped, and the host is told.
static void step_input(struct agent *agent, struct stream *stream) {
    struct inward *in = &stream->in;
    if (in->end == NULL || in->broken || in->end->descriptor < 0) {
        return;
    }
    if (inward_write(in) != 0) {
        in->broken = true;
        inward_drop(in);
        frame_send(&agent->port, END, 0, stream->number, NULL, 0);
    }
    if (!stream->terminal && (in->broken || inward_finished(in))) {
        end_close(agent, in->end);
    }
    inward_credit(agent, stream);
}

/// A terminal that nobody has open says EIO. While its process lives it may be opened again, and closing our side would
/// kill the process: many a program closes all that it has before it exits.
static bool rests(const struct stream *stream) {
    return stream->terminal && errno == EIO && !stream->reaped;
}

static bool step_output(struct agent *agent, struct stream *stream, uint8_t channel) {
    struct outward *out = &stream->out[channel - 1];
    enum moved moved = outward_move(agent, stream, channel);
    if (moved == MOVED_END && rests(stream)) {
        out->end->readable = false;
    } else if (moved == MOVED_END) {
        // Of a terminal there is no other error that a reader of it could use.
        out->open = false;
        end_close(agent, out->end);
        stream->in.broken |= stream->terminal;
        out->owes_end = true;
    }
    // Each write to the port wakes both sides: whoever waits for the process alone is told all of its end at once.
    if (out->owes_end && (!stream->quiet || stream->reaped)) {
        out->owes_end = false;
        frame_send(&agent->port, END, channel, stream->number, NULL, 0);
    }
    return moved == MOVED_BYTES;
}

static void step_exit(struct agent *agent, struct stream *stream) {
    uint8_t payload[5];
    bool killed = WIFSIGNALED(stream->status);
    payload[0] = killed;
    put32(payload + 1, (uint32_t)(killed ? WTERMSIG(stream->status) : WEXITSTATUS(stream->status)));
    frame_send(&agent->port, EXITED, 0, stream->number, payload, sizeof payload);
    stream->told_exit = true;
}

bool process_step(struct agent *agent, struct stream *stream) {
    step_input(agent, stream);
    // Both channels are asked in each step, if the first one leaves room: one that is full holds the other not up.
    bool more = step_output(agent, stream, 1);
    more |= step_output(agent, stream, 2);
    if (stream->reaped && !stream->told_exit) {
        step_exit(agent, stream);
    }
    if (stream->told_exit && !stream->out[0].open && !stream->out[1].open) {
        stream_end(agent, stream);
        return false;
    }
    return more;
}

static struct stream *find_process(struct agent *agent, pid_t process) {
    for (int i = 0; i < BUCKETS; i++) {
        for (struct stream *stream = agent->buckets[i]; stream != NULL; stream = stream->next) {
            if (stream->kind == PROCESS && stream->process == process && !stream->reaped) {
                return stream;
            }
        }
    }
    return NULL;
}

void processes_reap(struct agent *agent) {
    int status;
    pid_t process;
    while ((process = waitpid(-1, &status, WNOHANG)) > 0) {
        struct stream *stream = find_process(agent, process);
        if (stream != NULL) {
            stream->reaped = true;
            stream->status = status;
            // It may have said before that nobody has it open.
            stream->ends[0].readable |= stream->terminal;
            stream_wake(agent, stream);
        }
    }
}
