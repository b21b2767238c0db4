// SPDX-License-Identifier: Apache-2.0
// What a host sends to the agent in the guest (native/agent), made up by libFuzzer. The whole agent is here, but for
// what it does to the system that it runs on: every path is one of this program's folder, every address is one of
// loopback's, and nothing is executed but `cat`.
//
// An input is a row of steps, as `take_step` reads them: frames that are whole, bytes that may be none, and moments in
// which the agent does what it has to do.
#define main agent_main
#include "../../../native/agent/main.c"
#undef main
#include "../../../native/agent/addresses.h"

#include <dirent.h>
#include <ftw.h>
#include <sys/socket.h>
#include <sys/wait.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define HOLD(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s does not hold\n", #condition);                                                         \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

enum { NAME_LENGTH = 80, CANARY_SIZE = 7, MOST_ROUNDS = 64 };

static struct agent agent;
static int host; // the other end of the port
static char folder[] = "/tmp/applevz-fuzz-XXXXXX";
static struct stat canary;
static bool has_tree; // something was made of records

static void path_of(char text[NAME_LENGTH], const char *name) {
    snprintf(text, NAME_LENGTH, "%s/%s", folder, name);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place) {
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static int open_one(const char *path, const struct stat *status, int type, struct FTW *place) {
    (void)status;
    (void)place;
    return type == FTW_DNR || type == FTW_D ? chmod(path, 0700) : 0;
}

static void remove_tree(const char *path) {
    // A folder is entered after it was made one that can be.
    nftw(path, open_one, 16, FTW_PHYS);
    nftw(path, remove_one, 16, FTW_PHYS | FTW_DEPTH);
}

static void remove_folder(void) {
    remove_tree(folder);
}

static void write_file(const char *name, off_t size, const char *text) {
    char path[NAME_LENGTH];
    path_of(path, name);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    HOLD(file >= 0 && ftruncate(file, size) == 0 && pwrite(file, text, strlen(text), size / 2) >= 0);
    close(file);
}

static void make_folder(const char *name) {
    char path[NAME_LENGTH];
    path_of(path, name);
    HOLD(mkdir(path, 0700) == 0);
}

/// What a host may ask for: files, and a tree with one of each kind.
static void make_places(void) {
    HOLD(mkdtemp(folder) != NULL);
    atexit(remove_folder);
    make_folder("files");
    make_folder("tree");
    make_folder("source");
    make_folder("source/below");
    write_file("files/1", 5, "text");
    write_file("source/file", 9000, "in the middle");
    write_file("source/below/hole", 1 << 20, "in a hole");
    write_file("source/empty", 0, "");
    write_file("canary", CANARY_SIZE, "alive");
    char path[NAME_LENGTH], other[NAME_LENGTH];
    path_of(path, "source/link");
    HOLD(symlink("../canary", path) == 0);
    path_of(path, "source/fifo");
    HOLD(mkfifo(path, 0600) == 0);
    path_of(path, "source/file");
    path_of(other, "source/second");
    HOLD(link(path, other) == 0);
    path_of(path, "canary");
    HOLD(stat(path, &canary) == 0);
}

/// Nothing that a tree's records say reaches what is beside the tree.
static void check_canary(void) {
    char path[NAME_LENGTH];
    struct stat now;
    path_of(path, "canary");
    HOLD(lstat(path, &now) == 0 && now.st_ino == canary.st_ino && now.st_size == canary.st_size &&
         now.st_mode == canary.st_mode && now.st_uid == canary.st_uid && now.st_nlink == canary.st_nlink &&
         now.st_mtim.tv_sec == canary.st_mtim.tv_sec && now.st_mtim.tv_nsec == canary.st_mtim.tv_nsec);
}

#pragma mark In place of what the agent would do to its guest

char *__real_frame_path(const struct frame *frame, size_t offset);
char *__wrap_frame_path(const struct frame *frame, size_t offset);
bool __real_place_read(struct place *place, const uint8_t *payload, size_t length);
bool __wrap_place_read(struct place *place, const uint8_t *payload, size_t length);
pid_t __wrap_launch(const struct agent *agent, struct launch *launch);
int __wrap_clock_settime(clockid_t clock, const struct timespec *time);
ssize_t __wrap_sendto(int socket, const void *bytes, size_t length, int flags, const struct sockaddr *address,
                      socklen_t address_length);

/// A path of the folder for each. No link that a tree's record makes is on the way to a file that is opened.
char *__wrap_frame_path(const struct frame *frame, size_t offset) {
    char *path = __real_frame_path(frame, offset);
    if (path == NULL) {
        return NULL;
    }
    char name[NAME_LENGTH], text[NAME_LENGTH];
    static const char *const sources[] = {"source", "source/file", "source/link", "source/fifo", "none", "files"};
    unsigned first = (unsigned char)path[0];
    if (frame->operation == SEND_TREE) {
        snprintf(name, sizeof name, "%s", sources[first % (sizeof sources / sizeof *sources)]);
    } else if (frame->operation == RECEIVE_TREE) {
        snprintf(name, sizeof name, "tree/%u", first % 2);
        has_tree = true;
    } else {
        snprintf(name, sizeof name, "files/%u", first % 4);
    }
    free(path);
    path_of(text, name);
    return strdup(text);
}

/// A socket of the folder, or a port of loopback's that the kernel chooses.
bool __wrap_place_read(struct place *place, const uint8_t *payload, size_t length) {
    if (!__real_place_read(place, payload, length)) {
        return false;
    }
    HOLD(place->length <= sizeof place->address);
    if (place->address.any.sa_family == AF_UNIX) {
        HOLD(place->length > offsetof(struct sockaddr_un, sun_path));
        unsigned number = (unsigned char)place->address.local.sun_path[0] % 4;
        place->address = (union address){.local.sun_family = AF_UNIX};
        snprintf(place->address.local.sun_path, sizeof place->address.local.sun_path, "%s/socket%u", folder, number);
        place->length = sizeof place->address.local;
    } else {
        place->address = (union address){.four = {.sin_family = AF_INET}};
        place->address.four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        place->length = sizeof place->address.four;
    }
    return true;
}

/// `cat` for a program whose name begins so; all others cannot be executed.
pid_t __wrap_launch(const struct agent *own, struct launch *launch) {
    (void)own;
    for (char **text = launch->arguments; *text != NULL; text++) {
        HOLD(strlen(*text) < 1 << 22);
    }
    for (char **text = launch->variables; *text != NULL; text++) {
        HOLD(strlen(*text) < 1 << 22);
    }
    if (launch->arguments[0][0] != 'c') {
        launch->failed = "program";
        launch->error = ENOENT;
        return -1;
    }
    pid_t child = vfork();
    if (child == 0) {
        static const char *const words[] = {"cat", NULL};
        setsid();
        for (int i = 0; i < 3; i++) {
            if (dup2(launch->descriptors[i], i) < 0) {
                _exit(127);
            }
        }
        execv("/bin/cat", (char *const *)words);
        _exit(127);
    }
    launch->failed = "fork";
    launch->error = errno;
    return child;
}

int __wrap_clock_settime(clockid_t clock, const struct timespec *time) {
    (void)clock;
    HOLD(time->tv_nsec >= 0 && time->tv_nsec < 1000000000);
    return 0;
}

/// A datagram of no peer goes to nobody.
ssize_t __wrap_sendto(int socket, const void *bytes, size_t length, int flags, const struct sockaddr *address,
                      socklen_t address_length) {
    (void)socket;
    (void)flags;
    // Reads all of it, as the kernel would.
    (void)!memchr(bytes, -1, length);
    HOLD(address == NULL || address_length >= sizeof(sa_family_t));
    return (ssize_t)length;
}

#pragma mark Steps

/// What the agent says is taken and dropped.
static void drain(void) {
    static uint8_t bytes[1 << 16];
    while (recv(host, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
    agent.port.writable = true;
}

/// A turn of the agent's loop, without its waiting.
static void turn(void) {
    take_events(&agent, 0);
    agent.port.readable = true;
    port_fill(&agent.port);
    take_frames(&agent);
    streams_run(&agent);
    port_flush(&agent.port);
    processes_reap(&agent);
    streams_bury(&agent);
    const struct port *port = &agent.port;
    HOLD(port->input_start <= port->input_end && port->input_end <= sizeof port->input);
    HOLD(port->output_start <= port->output_end && port->output_end <= sizeof port->output);
    HOLD(agent.streams <= MOST_STREAMS);
}

/// As many turns as it has something to do.
static void settle(void) {
    for (int i = 0; i < MOST_ROUNDS; i++) {
        drain();
        turn();
        if (!busy(&agent) || agent.port.ended) {
            break;
        }
    }
}

static void send_bytes(const void *bytes, size_t length) {
    const uint8_t *place = bytes;
    while (length > 0) {
        ssize_t count = send(host, place, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count <= 0) {
            settle();
            count = send(host, place, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        if (count <= 0) {
            return; // it reads no more
        }
        place += count;
        length -= (size_t)count;
    }
}

static void send_frame(uint8_t operation, uint8_t channel, uint32_t stream, const uint8_t *payload, uint32_t length) {
    uint8_t bytes[LONGEST_FRAME] = {FRAME_MAGIC & 0xFF, FRAME_MAGIC >> 8, operation, channel};
    put32(bytes + 4, stream);
    put32(bytes + 8, length);
    memcpy(bytes + HEADER_LENGTH, payload, length);
    put32(bytes + HEADER_LENGTH + length, (stream ^ length ^ operation) & 0x7FFFFFFF);
    send_bytes(bytes, FRAME_EXTRA + length);
}

static void begin(void) {
    uint8_t bytes[BEGINNING_LENGTH] = "\0applevz agent\r\n";
    put32(bytes + MARKER_LENGTH, PROTOCOL_VERSION);
    memset(bytes + MARKER_LENGTH + 4, 'n', NONCE_LENGTH);
    send_bytes(bytes, sizeof bytes);
}

enum { STEP_SETTLE = 30, STEP_BEGIN = 31, STEP_RAW = 32 };

/// The next step; returns how long it is. One that says more bytes than there are has those that there are. A frame is
/// its operation, its channel, the low byte of its stream, and the length and the bytes of its payload, of which the
/// last may come again up to 255 times.
static size_t take_step(const uint8_t *bytes, size_t length) {
    enum { HEAD = 6 };
    uint8_t kind = bytes[0] % (STEP_RAW + 1);
    if (kind == STEP_SETTLE || kind == STEP_BEGIN) {
        settle();
        if (kind == STEP_BEGIN) {
            begin();
        }
        return 1;
    }
    if (length < HEAD) {
        return length;
    }
    size_t payload = get16(bytes + 3);
    payload = payload < length - HEAD ? payload : length - HEAD;
    payload = payload < LONGEST_PAYLOAD ? payload : LONGEST_PAYLOAD;
    if (kind == STEP_RAW) {
        send_bytes(bytes + HEAD, payload);
    } else {
        for (int i = 0; i <= bytes[5]; i++) {
            send_frame(kind, bytes[1], bytes[2] % 16, bytes + HEAD, (uint32_t)payload);
        }
    }
    return HEAD + payload;
}

static void prepare_once(void) {
    sigset_t ended;
    if (agent.events > 0) {
        return;
    }
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ended, NULL);
    make_places();
    HOLD(fill_null(&agent));
    agent.signals = signalfd(-1, &ended, SFD_NONBLOCK | SFD_CLOEXEC);
    agent.events = epoll_create1(EPOLL_CLOEXEC);
    HOLD(agent.signals >= 0 && agent.events >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    int ends[2];
    prepare_once();
    HOLD(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    host = ends[0];
    HOLD(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    port_open(&agent.port, ends[1], true);
    HOLD(watch_port(&agent, EPOLL_CTL_ADD));
    begin();
    settle();
    while (length > 0) {
        size_t taken = take_step(bytes, length);
        bytes += taken;
        length -= taken;
    }
    settle();
    uint32_t killed, closed;
    streams_end_all(&agent, &killed, &closed);
    HOLD(agent.streams == 0);
    while (agent.first_ready != NULL) {
        drain();
        streams_run(&agent);
    }
    streams_bury(&agent);
    HOLD(agent.dead == NULL);
    close(ends[1]);
    close(host);
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    check_canary();
    if (has_tree) {
        char path[NAME_LENGTH];
        path_of(path, "tree");
        remove_tree(path);
        make_folder("tree");
        has_tree = false;
    }
    return 0;
}
