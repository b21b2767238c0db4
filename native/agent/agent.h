// SPDX-License-Identifier: Apache-2.0
// The guest agent. docs/guest-agent-protocol.md says what it speaks; each file has one subject of it.
//
// One thread. Everything waits in one epoll, edge-triggered: what may be read or written is remembered in an `end`
// until the kernel refuses. All memory that a host can make it use is bounded: by the number of streams, and for each
// by the windows of its channels.

#ifndef APPLEVZ_AGENT_H
#define APPLEVZ_AGENT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

enum {
    PROTOCOL_VERSION = 1,
    FRAME_MAGIC = 0x7641,
    HEADER_LENGTH = 12,
    END_LENGTH = 4,
    FRAME_EXTRA = HEADER_LENGTH + END_LENGTH,
    LONGEST_PAYLOAD = 32768,
    LONGEST_FRAME = LONGEST_PAYLOAD + FRAME_EXTRA,
    MARKER_LENGTH = 16,
    NONCE_LENGTH = 16,
    BEGINNING_LENGTH = MARKER_LENGTH + 4 + NONCE_LENGTH,
    // What comes together is written to a pipe together.
    INPUT_LENGTH = 16 * LONGEST_FRAME,
    // Each credit that is given interrupts both sides: so there is room for several of them.
    WINDOW = 1048576,
    // So many of a pipe's bytes at once are worth that it gets larger.
    MUCH = 16384,
    PIPE_SIZE = 524288,
    // The kernel's driver takes that much in one write: what is gathered is no more.
    OUTPUT_SHARE = 32768,
    // So many frames of that length are made of one read, while nothing else waits to be sent.
    FRAMES_AT_ONCE = 16,
    // What each step of a stream finds free: the longest answer, with a path in it, and some data.
    LEAST_ROOM = 8192,
    MOST_STREAMS = 16384,
    BUCKETS = 1024,
    // Of the kernel, on both processors.
    KERNEL_SIGNALS = 64,
};

enum operation {
    START = 1,
    DATA = 2,
    END = 3,
    CREDIT = 4,
    SIGNAL = 5,
    RESIZE = 6,
    CLOSE = 7,
    OPEN = 8,
    CONNECT = 9,
    SEND_TREE = 10,
    RECEIVE_TREE = 11,
    INFORMATION = 12,
    LISTEN = 13,
    ACCEPT = 14,
    RESTORED = 15,
    HELLO = 16,
    STARTED = 17,
    FAILED = 18,
    EXITED = 19,
    DONE = 20,
    CLOSED = 21,
    TOLD = 22,
};

/// A frame that is whole. Its payload is the port's until the next one is asked for.
struct frame {
    enum operation operation;
    uint8_t channel;
    uint32_t stream;
    uint32_t length;
    const uint8_t *payload;
};

/// The port: what came and is not yet read as frames, and what is to be sent.
struct port {
    int descriptor;
    /// A socket of --descriptor, which ends; a device does not, whatever the host does.
    bool ends;
    bool ended;
    bool readable, writable;
    /// Some that came are not acted on, since there was no room for the answers.
    bool holds_frames;
    /// Something of what is to be sent is waited for.
    bool hurries;
    /// The epoll tells when it can be written to: only once that was refused, since each write makes the kernel say so.
    bool watched_for_room;
    /// Bytes are dropped until the next marker.
    bool hunting;
    size_t input_start, input_end;
    size_t output_start, output_end;
    uint8_t input[INPUT_LENGTH];
    /// The share that streams fill, the frames that are made at once, and what the frames that came are answered with.
    uint8_t output[(1 + FRAMES_AT_ONCE) * OUTPUT_SHARE + 2 * LONGEST_FRAME];
};

struct stream;

/// A descriptor of a stream.
struct end {
    struct stream *stream;
    int descriptor; // -1: none
    bool readable, writable;
    /// The kernel never says of it that it is ready, since it always is.
    bool always;
    /// It was made larger, if it is a pipe and may be.
    bool widened;
};

/// Channel 0: bytes of the host on their way to a descriptor.
struct inward {
    struct end *end;
    uint8_t *held; // WINDOW bytes, round; none while nothing is held
    size_t start, length;
    uint32_t allowance; // what the host may still send
    uint32_t consumed;  // what it has not been told of
    bool ended;         // it said END
    bool broken;        // nobody reads it any longer
    bool records;       // what it holds is written by whoever knows its records
};

/// Channel 1 or 2: bytes of a descriptor on their way to the host.
struct outward {
    struct end *end;
    uint32_t credit;
    bool open;     // it did not end
    bool owes_end; // it did, and END is sent with EXITED
};

struct launch;
struct tree_sender;
struct tree_receiver;
struct datagram;

enum kind {
    STARTING,
    PROCESS,
    READER,
    WRITER,
    CONNECTION,
    LISTENER,
    ACCEPTING,
    DATAGRAMS,
    TREE_SENDER,
    TREE_RECEIVER,
};

struct stream {
    struct stream *next; // of its bucket; or of the dead
    struct stream *next_ready;
    bool ready;
    bool dead;
    uint32_t number;
    enum kind kind;
    struct end ends[3];
    struct inward in;
    struct outward out[2];
    // Of a process.
    uint8_t *start; // what came of START
    size_t start_length;
    pid_t process;
    bool detached, terminal, quiet, reaped, told_start, told_exit;
    int status;
    // Of a connection.
    bool connecting;
    // Of a listener, who waits for its connections; of who waits, its listener and who is behind it.
    struct stream *first_accepting, *last_accepting;
    ino_t file; // of a Unix socket, to be removed
    struct stream *listener, *next_accepting;
    // Of datagrams.
    bool peers;
    struct datagram *datagram;
    struct tree_sender *sender;
    struct tree_receiver *receiver;
};

/// All that the agent is.
struct agent {
    struct port port;
    int events;  // the epoll
    int signals; // a signalfd with SIGCHLD and SIGTERM
    int null;    // /dev/null
    /// It came with the initial file system, and follows the root when another is mounted over it.
    bool follows_root;
    bool is_asked_to_end;
    struct rlimit files; // as it was, and as processes get it
    uint32_t streams;    // how many
    struct stream *buckets[BUCKETS];
    struct stream *first_ready, *last_ready;
    /// Over, and freed when no event of this round can name them any more.
    struct stream *dead;
    /// One for the next stream: the library gives the kernel back what nothing is in.
    struct stream *spare;
};

static inline uint16_t get16(const uint8_t *bytes) {
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline uint32_t get32(const uint8_t *bytes) {
    return (uint32_t)get16(bytes) | (uint32_t)get16(bytes + 2) << 16;
}

static inline uint64_t get64(const uint8_t *bytes) {
    return (uint64_t)get32(bytes) | (uint64_t)get32(bytes + 4) << 32;
}

static inline void put32(uint8_t *bytes, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
}

static inline void put64(uint8_t *bytes, uint64_t value) {
    put32(bytes, (uint32_t)value);
    put32(bytes + 4, (uint32_t)(value >> 32));
}

// frames.c

/// Makes a port of a descriptor: says that an agent is there, and hunts.
void port_open(struct port *port, int descriptor, bool ends);
/// Reads what came, as much as there is room for.
void port_fill(struct port *port);
/// Writes what is to be sent, as much as goes.
void port_flush(struct port *port);
size_t port_pending(const struct port *port);
/// What streams may still add before a write.
size_t port_room(const struct port *port);
/// Where the payload of a frame may be put before `frame_commit`; `port_room` less FRAME_EXTRA bytes.
uint8_t *port_payload(struct port *port);
void frame_commit(struct port *port, enum operation operation, uint8_t channel, uint32_t stream, size_t length);
void frame_send(struct port *port, enum operation operation, uint8_t channel, uint32_t stream, const void *payload,
                size_t length);

enum came { CAME_NOTHING, CAME_FRAME, CAME_BEGINNING };

/// The next of what came. After CAME_BEGINNING `nonce` and `version` are those of the host.
enum came port_next(struct port *port, struct frame *frame, uint8_t nonce[NONCE_LENGTH], uint32_t *version);
/// Answers a host that begins.
void port_begin(struct port *port, const uint8_t nonce[NONCE_LENGTH], uint32_t version, uint32_t killed,
                uint32_t closed);

// streams.c

struct stream *stream_find(struct agent *agent, uint32_t number);
/// A stream of no descriptors; none where there is no memory.
struct stream *stream_make(struct agent *agent, uint32_t number, enum kind kind);
/// The stream is over: nothing more is sent for it.
void stream_end(struct agent *agent, struct stream *stream);
/// It may have something to do.
void stream_wake(struct agent *agent, struct stream *stream);
/// Acts on a frame.
void streams_handle(struct agent *agent, const struct frame *frame);
/// Ends all streams, for another host.
void streams_end_all(struct agent *agent, uint32_t *killed, uint32_t *closed);
/// Has the streams that are ready do their steps, as long as the port takes what they send.
void streams_run(struct agent *agent);
void streams_bury(struct agent *agent);
void send_failed(struct agent *agent, uint32_t number, int error, const char *what);
void send_done(struct agent *agent, uint32_t number, int error, const char *path);
/// The path that is the payload from `offset` on, as text of its own; none where it has a NUL or nothing, and errno.
char *frame_path(const struct frame *frame, size_t offset);

// channels.c

/// Gives a descriptor to an end. Closes it where that fails, with errno.
bool end_open(struct agent *agent, struct stream *stream, struct end *end, int descriptor);
/// Returns 0, or what closing told of bytes that were written.
int end_close(struct agent *agent, struct end *end);
void inward_open(struct inward *in, struct end *end);
void outward_open(struct outward *out, struct end *end);
/// Takes bytes of the host; false where it sent more than it may, or where there is no memory, with errno.
bool inward_take(struct inward *in, const uint8_t *bytes, size_t length);
/// Writes what is held. Returns 0, or the errno of a descriptor that takes no more.
int inward_write(struct inward *in);
/// Copies bytes that are held; false where there are fewer.
bool inward_peek(const struct inward *in, uint8_t *bytes, size_t length);
/// Bytes that were held are written.
void inward_skip(struct inward *in, size_t length);
/// All that came was written, and no more comes.
bool inward_finished(const struct inward *in);
/// Gives credit back where it is time.
void inward_credit(struct agent *agent, struct stream *stream);
void inward_drop(struct inward *in);

enum moved { MOVED_NOTHING, MOVED_BYTES, MOVED_END };

/// Sends one frame of what the descriptor has. MOVED_END with errno, 0 for its regular end; END is not yet sent.
enum moved outward_move(struct agent *agent, struct stream *stream, uint8_t channel);

// processes.c

void process_start(struct agent *agent, const struct frame *frame);
/// Says that the process was started, if that was not said.
void process_tell_start(struct agent *agent, struct stream *stream);
void process_signal(struct stream *stream, int number);
void process_resize(struct stream *stream, const struct frame *frame);
/// What is to be done before the stream is ended for a host that wants no more of it.
void process_close(struct stream *stream);
/// Returns whether there is more to do at once, as all steps do.
bool process_step(struct agent *agent, struct stream *stream);
/// Reaps all children that ended.
void processes_reap(struct agent *agent);

// terminals.c

/// Opens a terminal. Returns the agent's side of it, and a process' side; or -1 with errno.
int terminal_open(const struct agent *agent, uint16_t rows, uint16_t columns, int *theirs);
bool terminal_resize(int descriptor, uint16_t rows, uint16_t columns);

// launch.c

struct launch {
    const char *user; // none: the agent's own
    const char *directory;
    char **arguments;
    char **variables;
    bool whole_environment;
    bool terminal;
    int descriptors[3];
    /// What failed, and why. The child writes it: it has the parent's memory until the program is executed.
    const char *volatile failed;
    volatile int error;
};

/// Executes a program. Returns its process, or -1 with `failed` and `error`.
pid_t launch(const struct agent *agent, struct launch *launch);

// users.c

struct passwd;
/// What the guest's file of users says of the agent's own. Its texts last until the next call of the library's for
/// users.
struct passwd own_user(void);

// files.c, connections.c, listeners.c, datagrams.c, tree_sender.c, tree_receiver.c, information.c

void file_open(struct agent *agent, const struct frame *frame);
bool file_step(struct agent *agent, struct stream *stream);
void connection_open(struct agent *agent, const struct frame *frame);
/// The stream's socket is a connection, or becomes one.
void connection_begin(struct agent *agent, struct stream *stream);
/// Before its socket is closed: the other side gets what it takes at once of what came, or sees that it broke.
void connection_close(struct stream *stream, bool reset);
bool connection_step(struct agent *agent, struct stream *stream);
void listener_open(struct agent *agent, const struct frame *frame);
void listener_end(struct agent *agent, struct stream *stream);
void accept_open(struct agent *agent, const struct frame *frame);
/// A stream waits no longer for a connection, if it did.
void accept_end(struct stream *stream);
bool listener_step(struct agent *agent, struct stream *stream);
/// Makes datagrams of a stream with a socket; with `peers` each names where it came from or goes. False with errno.
bool datagrams_begin(struct stream *stream, bool peers);
bool datagrams_step(struct agent *agent, struct stream *stream);
void tree_send_open(struct agent *agent, const struct frame *frame);
bool tree_send_step(struct agent *agent, struct stream *stream);
void tree_sender_free(struct tree_sender *sender);
void tree_receive_open(struct agent *agent, const struct frame *frame);
void tree_receive_take(struct agent *agent, struct stream *stream, const uint8_t *bytes, size_t length);
void tree_receive_end(struct agent *agent, struct stream *stream);
void tree_receiver_free(struct tree_receiver *receiver);
void information_tell(struct agent *agent);

/// Takes the time and random bytes from a host that restored the guest.
void restored_take(const struct agent *agent, const struct frame *frame);

// oom_score.c

/// Has the kernel kill others first where memory runs out. Does nothing where there is no /proc yet, or where the agent
/// may not.
void oom_score_protect(const struct agent *agent);
/// What was protected is the agent alone: for a process that is made between this and the next time.
void oom_score_restore(void);

// boot.c

/// A place that is the agent's in the initial file system; elsewhere it may be missing.
#define OWN_FOLDER "/.applevz"

/// The first process of an initial file system: goes on as the agent in a child, and executes the real init.
void boot(struct agent *agent, char **arguments);
/// Goes into the root that was mounted over the one that the agent came with.
void follow_root(const struct agent *agent);
/// Waits for the port's device and opens it. Returns its descriptor.
int wait_for_port(const struct agent *agent);

#ifndef AGENT_VERSION
#define AGENT_VERSION "0"
#endif

#endif
